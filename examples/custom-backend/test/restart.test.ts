import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { AgentId, ClaimId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Deferred, Duration, Effect, FileSystem, Layer, Stream } from "effect"
import * as FileTaskBackend from "../src/FileTaskBackend.ts"
import { directory, files } from "./files.ts"

const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
const runnerId = RunnerId.make("runner")

const task = {
  id: ids.taskId,
  conversationId: ids.conversationId,
  userId: UserId.make("alice"),
  agentId: AgentId.make("agent"),
  input: userText("hello"),
  spec: { metadata: { plan: "pro" } },
  idempotency: { key: "k", requestHash: "h" }
}

const create = Effect.flatMap(TaskBackend, (backend) => backend.create(task, { onBusy: "reject", maxQueued: 0 }))

const claimId = ClaimId.make("claim")

const claim = Effect.gen(function*() {
  const backend = yield* TaskBackend
  yield* backend.heartbeat(runnerId, Duration.hours(1))
  return yield* Effect.fromOption(yield* backend.claim(ids.taskId, { runnerId, claimId, expectedToken: 0 }))
})

const text = (seq: number, content: string) => ({ seq, at: 7, event: { type: "text" as const, ...ids, content } })

const done = (seq: number) => ({ seq, at: 7, event: { type: "done" as const, ...ids, usage: zero } })

const all = { after: 0, limit: 1000, maxBytes: 10_000_000 }

/** Runs an effect like a process of its own that uses the file. */
const on = (file: string) => Effect.provide(FileTaskBackend.layer(file), { local: true })

describe("JournalFile", () => {
  it.effect("P1, SCENARIO 25: the next process finds all committed data, and knows that the earlier owners are dead", () =>
    Effect.gen(function*() {
      const file = `${yield* directory}/tasks.jsonl`
      const before = yield* Effect.gen(function*() {
        const backend = yield* TaskBackend
        yield* create
        const owner = yield* claim
        yield* backend.append([{ claim: owner, events: [text(2, "zero \u0000, surrogate \uD800, 🌲")] }])
        yield* backend.putIntent(ids.taskId, { key: "decision/x", value: { approved: true } })
        return { task: yield* backend.get(ids.taskId), page: yield* backend.events(ids.taskId, all) }
      }).pipe(on(file))
      yield* Effect.gen(function*() {
        const backend = yield* TaskBackend
        assert.deepStrictEqual(yield* backend.get(ids.taskId), before.task)
        assert.deepStrictEqual(yield* backend.events(ids.taskId, all), before.page)
        assert.strictEqual((yield* backend.intents(ids.taskId)).length, 1)
        assert.deepInclude(yield* create, { created: false })
        const [head] = yield* backend.unowned({ limit: 10 })
        assert.strictEqual(head?.token, 1)
        const next = { runnerId: RunnerId.make("next"), claimId, expectedToken: 1 }
        yield* backend.heartbeat(next.runnerId, Duration.hours(1))
        const claimed = yield* Effect.fromOption(yield* backend.claim(ids.taskId, next))
        assert.deepInclude(claimed, { token: 2, attempt: 2, failures: 1, lastSeq: 2 })
      }).pipe(on(file))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("an incomplete last line is dropped; a broken line elsewhere is refused with a one-line message", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* directory}/tasks.jsonl`
      const read = Effect.flatMap(TaskBackend, (backend) => backend.get(ids.taskId))
      yield* on(file)(create)
      yield* fs.writeFileString(file, `{"states":[{"id":"t1","sta`, { flag: "a" })
      assert.strictEqual((yield* on(file)(read)).status, "queued")
      const whole = yield* fs.readFileString(file)
      assert.isTrue(whole.endsWith("}\n"))
      yield* fs.writeFileString(file, `{"states":[{"id":"t1","sta\n${whole}`)
      const error = yield* Effect.flip(on(file)(read))
      assert.strictEqual(error._tag, "JournalError")
      assert.strictEqual(error.message, `The journal "${file}" cannot be read.`)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("P2: a file that is in use is refused with a one-line message, whichever path names it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const here = yield* directory
      const file = `${here}/tasks.jsonl`
      yield* Layer.build(FileTaskBackend.layer(file))
      yield* fs.makeDirectory(`${here}/links`)
      yield* fs.symlink(file, `${here}/links/file.jsonl`)
      yield* fs.symlink(here, `${here}/links/directory`)
      for (const path of ["tasks.jsonl", "links/file.jsonl", "links/directory/tasks.jsonl", "links/../tasks.jsonl"]) {
        const error = yield* Effect.flip(on(`${here}/${path}`)(create))
        assert.strictEqual(
          error.message,
          `The journal "${here}/${path}" is in use by another process, which has to stop first.`
        )
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("P5, P11: a failed write is not visible, and no write is accepted after it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* directory}/tasks.jsonl`
      let full = false
      const disk = FileSystem.FileSystem.of({
        ...fs,
        open: (path, options) => fs.open(full ? `${path}/none` : path, options)
      })
      yield* Effect.gen(function*() {
        const backend = yield* TaskBackend
        full = true
        assert.strictEqual((yield* Effect.flip(create))._tag, "TaskBackendError")
        assert.strictEqual((yield* Effect.flip(backend.get(ids.taskId)))._tag, "TaskNotFound")
        full = false
        assert.strictEqual((yield* Effect.flip(create))._tag, "TaskBackendError")
      }).pipe(on(file), Effect.provideService(FileSystem.FileSystem, disk))
      assert.isTrue((yield* on(file)(create)).created)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("the next process continues the numbers of ends, also after the last ended task was deleted", () =>
    Effect.gen(function*() {
      const file = `${yield* directory}/tasks.jsonl`
      const endOne = Effect.gen(function*() {
        const backend = yield* TaskBackend
        yield* create
        yield* backend.finish(yield* claim, [done(2)])
        return yield* backend.ended({ after: 0, limit: 10 })
      })
      const [first] = yield* on(file)(endOne)
      const key = { conversationId: ids.conversationId, userId: task.userId }
      yield* on(file)(Effect.flatMap(TaskBackend, (backend) => backend.deleteConversation(key)))
      const [second] = yield* on(file)(endOne)
      assert.deepStrictEqual([first?.cursor, second?.cursor], [1, 2])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("P11: obsolete data is removed from the file when the file has doubled", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* directory}/tasks.jsonl`
      yield* Effect.gen(function*() {
        const backend = yield* TaskBackend
        yield* create
        const owner = yield* claim
        const large = "x".repeat(600_000)
        yield* backend.append([{ claim: owner, events: [text(2, large)] }])
        const before = (yield* fs.stat(file)).size
        yield* backend.finish(owner, [done(3)])
        assert.strictEqual(yield* backend.prune({ finishedFor: Duration.zero, limit: 10 }), 1)
        yield* backend.create(
          { ...task, id: TaskId.make("t2"), idempotency: undefined, spec: { metadata: { large } } },
          {
            onBusy: "reject",
            maxQueued: 0
          }
        )
        assert.isBelow(Number((yield* fs.stat(file)).size), Number(before) + 10_000)
        assert.strictEqual((yield* Effect.flip(backend.events(ids.taskId, all)))._tag, "EventsExpired")
      }).pipe(on(file))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

const message = (said: string): AgentEvent => ({
  type: "message",
  message: { role: "assistant", content: [{ type: "text", text: said }] },
  usage: zero
})

it.live("P8, P10: a task goes on after a crash of its process, and repeats no finished work", () =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const begun = yield* Deferred.make<void>()
    const agent = make("teller", ({ journal }, emit) =>
      Effect.gen(function*() {
        if (journal.some(({ event }) => event.type === "message")) {
          yield* emit([message("upon a time.")])
          return { usage: zero }
        }
        yield* emit([message("Once")])
        yield* Deferred.succeed(begun, undefined)
        return yield* Effect.never
      }))
    const process = (directory: string) =>
      Layer.build(TaskRuntime.layer.pipe(Layer.provideMerge(files(directory)), Layer.provide(Agents.layer([agent]))))

    const first = yield* directory
    const manager = Context.get(yield* process(first), TaskManager)
    const { conversationId, id } = yield* manager.start({ message: "Tell me." })
    yield* Deferred.await(begun)

    // A copy of the files is what a crash would leave at this moment.
    const second = yield* directory
    for (const name of ["tasks.jsonl", "conversations.jsonl"]) {
      yield* fs.copyFile(`${first}/${name}`, `${second}/${name}`)
    }
    const after = yield* process(second)
    assert.strictEqual((yield* Context.get(after, TaskManager).await(id)).task.status, "completed")
    const events = yield* Stream.runCollect(yield* Context.get(after, TaskManager).events(id))
    assert.deepStrictEqual(events.map(({ event, seq }) => [seq, event.type]), [
      [1, "ack"],
      [2, "started"],
      [3, "message"],
      [4, "resumed"],
      [5, "message"],
      [6, "done"]
    ])
    const store = Context.get(after, ConversationStore)
    const said = yield* store.messages({ id: conversationId, userId: yield* CurrentUser }, { limit: 10 })
    assert.deepStrictEqual(said.map(({ message }) => message.role), ["user", "assistant", "assistant"])
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
