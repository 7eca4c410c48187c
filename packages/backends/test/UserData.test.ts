/**
 * Everything that a store has of a user is in the export, and nothing of it is left after the deletion: a dump of each store is
 * searched for texts that are in every place where the data of a person may be.
 */
import { assert, describe, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Agents, make as makeAgent } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { UserData } from "@perennial/domain/UserData"
import { encodeLine, type ExportLine } from "@perennial/domain/UserExport"
import { topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import type { Redis } from "effect/persistence"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { directory } from "./sqliteFile.ts"
import { makeSchema, withPostgres } from "./support/postgres.ts"
import { dumpOf, withRedis } from "./support/redis.ts"

/** In every text of the user, and in no other text. */
const mark = "zq7markzq7"
const marked = (what: string) => `${mark}-${what}`

const alice = UserId.make(marked("user"))
const bob = UserId.make("bystander")

/** Writes the texts of the user's message into every event that has room for one. `ask` waits for a decision. */
const agent = makeAgent("writer", (input, emit) =>
  Effect.gen(function*() {
    const last = input.history[input.history.length - 1]
    const said = last === undefined ? "" : Message.text(last)
    const call = { tool: "search", toolCallId: "call", args: { query: `${said} args` } }
    yield* emit([
      { type: "title", title: `${said} title` },
      { type: "reasoning", content: `${said} reasoning` },
      { type: "text", content: `${said} text` },
      { type: "data", name: "found", data: { said } }
    ])
    if (said.includes("ask")) {
      yield* emit([{ type: "tool_approval", ...call }])
      yield* input.awaitDecision("call")
    }
    yield* emit([{
      type: "message",
      message: {
        role: "assistant",
        content: [{ type: "text", text: `${said} answer` }, { type: "tool_call", ...call }]
      },
      usage: zero
    }])
    yield* emit([{ type: "tool_result", tool: "search", toolCallId: "call", result: { said }, status: "completed" }])
    return { usage: zero }
  }))

const as = (user: UserId) => Effect.provideService(CurrentUser, user)

/** Data of a user in every place, with a text in each of them. Tasks wait for a person and behind another task at the end. */
const fill = Effect.fnUntraced(function*(user: UserId, text: (what: string) => string) {
  const { await: awaitTask, cancel, regenerate, start } = yield* TaskManager
  const webhooks = yield* WebhookStore
  const run = as(user)
  const first = yield* run(start({
    message: text("message"),
    conversationId: text("conversation"),
    metadata: { note: text("metadata") },
    userMetadata: { note: text("user-metadata") },
    logContext: { note: text("log-context") },
    idempotencyKey: text("key")
  }))
  yield* run(awaitTask(first.id))
  // Takes the place of the message and of its answer.
  yield* run(awaitTask((yield* run(regenerate(first.conversationId))).id))
  const asking = yield* run(start({ message: text("ask"), conversationId: text("asking") }))
  const behind = { conversationId: asking.conversationId, onBusy: "enqueue" } as const
  yield* run(start({ ...behind, message: text("behind") }))
  const second = yield* run(start({ ...behind, message: text("cancelled") }))
  yield* run(cancel(second.id, { reason: text("reason") }))
  const settings = { url: `https://${text("webhook")}.example/`, topics, content: true, secrets: [] }
  yield* webhooks.put({ id: WebhookId.make(`of-${user}`), userId: user }, settings)
  yield* webhooks.enqueue(
    [`of-${user}`, "server"].map((id) => ({
      webhookId: WebhookId.make(id),
      id: `about-${user}`,
      body: JSON.stringify({ data: { userId: user, said: text("delivery") } }),
      userId: user
    }))
  )
  return { asking, ended: first }
})

const server = { id: WebhookId.make("server"), userId: undefined }

const count = (lines: ReadonlyArray<ExportLine>, type: ExportLine["type"]) =>
  lines.filter((line) => line.type === type).length

/** What the ports still know of a user. */
const known = Effect.fnUntraced(function*(userId: UserId) {
  const backend = yield* TaskBackend
  const { deliveries, list } = yield* WebhookStore
  const conversations = yield* (yield* ConversationStore).list({ userId, limit: 10 })
  const ends = yield* backend.ended({ after: 0, limit: 1_000 })
  return {
    conversations: conversations.length,
    tasks: (yield* backend.list({ userId, limit: 10 })).length,
    ends: ends.filter((end) => end.userId === userId).length,
    webhooks: (yield* list(userId)).length,
    deliveries: (yield* deliveries(server, 10)).filter(({ id }) => id.endsWith(userId)).length
  }
})

const nothing = { conversations: 0, tasks: 0, ends: 0, webhooks: 0, deliveries: 0 }

type Stores = TaskBackend | ConversationStore | WebhookStore

const processOf = <E, R>(stores: Layer.Layer<Stores, E, R>) =>
  UserData.layer.pipe(
    Layer.provideMerge(TaskRuntime.layer),
    Layer.provide(Agents.layer([agent])),
    Layer.provideMerge(stores)
  )

/** `dump` returns all texts that the store keeps. It is undefined for a store that keeps none. */
const isErased = Effect.fnUntraced(function*(dump: Effect.Effect<string, Redis.RedisError> | undefined) {
  const userData = yield* UserData
  const backend = yield* TaskBackend
  yield* (yield* WebhookStore).put(server, { url: "https://a.example/", topics, content: true, secrets: [] })
  const { ended } = yield* fill(alice, marked)
  yield* fill(bob, (what) => `b-${what}`)
  yield* backend.prune({ finishedFor: Duration.zero, limit: 1 })

  const lines = yield* Stream.runCollect(userData.export(alice))
  const [begin, end] = [lines[0], lines[lines.length - 1]]
  assert(begin?.type === "user" && end?.type === "end")
  assert.strictEqual(begin.userId, alice)
  for (
    const [type, name] of [
      ["conversation", "conversations"],
      ["message", "messages"],
      ["task", "tasks"],
      ["event", "events"],
      ["webhook", "webhooks"],
      ["delivery", "deliveries"]
    ] as const
  ) {
    assert.strictEqual(end.counts[name], count(lines, type), type)
    assert.isAbove(end.counts[name], 0, type)
  }
  const text = lines.map(encodeLine).join("")
  for (
    const what of [
      "message",
      "metadata",
      "user-metadata",
      "ask title",
      "ask reasoning",
      "ask args",
      "reason",
      "webhook",
      "answer"
    ]
  ) {
    assert.include(text, what)
  }
  assert.notInclude(text, "b-message")
  assert.notInclude(text, bob)
  if (dump !== undefined) {
    const before = yield* dump
    for (const what of ["user", "conversation", "metadata", "key", "ask", "behind", "reason", "webhook", "delivery"]) {
      assert.include(before, marked(what))
    }
  }

  const { events, ...receipt } = yield* userData.erase(alice)
  assert.deepStrictEqual(receipt, {
    conversations: end.counts.conversations,
    // The task that waited for a person got its end in the conversation, too.
    messages: receipt.messages,
    tasks: 5,
    intents: 3,
    webhooks: 1,
    deliveries: 2
  })
  assert.isAtLeast(receipt.messages, end.counts.messages)
  assert.isAbove(events, end.counts.events)
  assert.deepStrictEqual(yield* known(alice), nothing)
  assert.strictEqual((yield* Effect.flip(backend.get(ended.id)))._tag, "TaskNotFound")
  assert.strictEqual(
    (yield* Effect.flip(backend.events(ended.id, { after: 0, limit: 1, maxBytes: 1 })))._tag,
    "TaskNotFound"
  )
  assert.deepStrictEqual(yield* backend.intents(ended.id), [])
  if (dump !== undefined) {
    const after = yield* dump
    const at = after.indexOf(mark)
    assert.strictEqual(at, -1, at < 0 ? "" : JSON.stringify(after.slice(at - 200, at + 100)))
    assert.include(after, "b-message")
  }

  const others = yield* known(bob)
  assert.deepStrictEqual({ ...others, ends: 0 }, { conversations: 2, tasks: 5, ends: 0, webhooks: 1, deliveries: 1 })
  assert.deepStrictEqual(yield* userData.erase(alice), {
    conversations: 0,
    messages: 0,
    tasks: 0,
    events: 0,
    intents: 0,
    webhooks: 0,
    deliveries: 0
  })
  const nobody = yield* Stream.runCollect(userData.export(alice))
  assert.deepStrictEqual(nobody.map(({ type }) => type), ["user", "end"])
  // The user may begin anew, and the key of before is free.
  const { start } = yield* TaskManager
  const again = yield* as(alice)(start({ message: "again", idempotencyKey: marked("key") }))
  assert.notStrictEqual(again.id, ended.id)
})

const name = "the export has everything of a user, and after the deletion a dump of the store has nothing"

// Other programs may load the machine.
const timeout = { timeout: 120_000 }

describe("UserData", timeout, () => {
  it.live(name, () => Effect.provide(isErased(undefined), processOf(MemoryStore.layer)))

  it.live("P11: an export reads at most eight messages at once", () =>
    Effect.gen(function*() {
      const { start } = yield* TaskManager
      const userData = yield* UserData
      const { await: awaitTask } = yield* TaskManager
      for (let i = 0; i < 12; i++) {
        const task = yield* as(alice)(start({ message: `message ${i}` }))
        yield* as(alice)(awaitTask(task.id))
      }
      const asked: Array<number> = []
      let read = 0
      const conversations = yield* ConversationStore
      const counted = UserData.layer.pipe(
        Layer.provide(Layer.succeed(ConversationStore, {
          ...conversations,
          messages: (key, options) =>
            Effect.tap(conversations.messages(key, options), (page) => Effect.sync(() => void asked.push(page.length)))
        }))
      )
      yield* Effect.provide(
        Effect.flatMap(UserData, (data) => Stream.runForEach(data.export(alice), () => Effect.sync(() => void read++))),
        counted
      )
      assert.isAtMost(Math.max(...asked), 8)
      assert.isAbove(read, 100)
      yield* userData.erase(alice)
    }).pipe(Effect.provide(processOf(MemoryStore.layer))))

  it.live("tasks that are started while the user is erased are erased, too", () =>
    Effect.gen(function*() {
      const { start } = yield* TaskManager
      const backend = yield* TaskBackend
      const userData = yield* UserData
      yield* fill(alice, marked)
      let started = 0
      const more = Effect.suspend(() => {
        started++
        return Effect.ignore(as(alice)(start({ message: "ask" })))
      })
      const starting = yield* Effect.forkChild(Effect.repeat(more, { times: 30 }))
      yield* userData.erase(alice)
      yield* Fiber.join(starting)
      yield* userData.erase(alice)
      assert.strictEqual(started, 31)
      assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [])
    }).pipe(Effect.provide(processOf(MemoryStore.layer))))
})

describe("UserData on SQLite", timeout, () => {
  it.live(name, () =>
    Effect.gen(function*() {
      const path = yield* directory
      const files = Effect.sync(() =>
        readdirSync(path).map((file) => readFileSync(join(path, file), "latin1")).join("\n")
      )
      yield* Effect.provide(isErased(files), processOf(SqliteStore.layer({ filename: join(path, "test.db") })))
    }))
})

describe("a SQLite file that two users share page by page", timeout, () => {
  it.live("has nothing of a user in the free places of its pages", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const files = Effect.sync(() =>
        readdirSync(path).map((file) => readFileSync(join(path, file), "latin1")).join("\n")
      )
      yield* Effect.gen(function*() {
        const store = yield* ConversationStore
        const userData = yield* UserData
        const owners = [[alice, mark], [bob, "other"]] as const
        // Texts of many lengths, which are replaced again and again, make SQLite move rows between pages.
        for (let i = 0; i < 400; i++) {
          const [userId, word] = owners[i % 2] ?? owners[0]
          const id = ConversationId.make(`${word}-${(i * 7) % 100}`)
          yield* store.create({ id, userId })
          yield* store.setTitle(id, `${word} `.repeat(1 + (i * 13) % 40))
        }
        assert.include(yield* files, mark)
        yield* userData.erase(alice)
        assert.notInclude(yield* files, mark)
        assert.include(yield* files, "other")
        assert.isAbove((yield* store.list({ userId: bob, limit: 1_000 })).length, 0)
      }).pipe(Effect.provide(processOf(SqliteStore.layer({ filename: join(path, "test.db") }))))
    }))
})

withPostgres("UserData on PostgreSQL", (url) => {
  it.live(name, () =>
    Effect.gen(function*() {
      const { schema, startupParameters } = yield* makeSchema(url)
      const dump = Effect.sync(() =>
        execFileSync("pg_dump", ["--schema", schema, "--inserts", Redacted.value(url)], {
          encoding: "latin1",
          maxBuffer: 256 * 1024 * 1024
        })
      )
      const stores = PgStore.layer({ url, maxConnections: 5, startupParameters })
      yield* Effect.provide(isErased(dump), processOf(stores))
    }))
})

withRedis("UserData on Redis", (url) => {
  it.live(name, () =>
    Effect.gen(function*() {
      const { dump, prefix } = yield* dumpOf(url)
      yield* Effect.provide(isErased(dump), processOf(RedisStore.layer({ url, prefix })))
    }), timeout.timeout)
})
