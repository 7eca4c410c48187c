/** The role `operator`: the records of every user's tasks, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import { version } from "@perennial/domain/Version"
import * as ListenConfig from "@perennial/http/ListenConfig"
import * as Tokens from "@perennial/http/Tokens"
import { ConfigProvider, Effect, Redacted } from "effect"
import { body, json, makeCall, makeEcho, post, problem } from "./support.ts"

const users = Tokens.layer([
  { userId: UserId.make("alice"), secret: Redacted.make("alice-secret") },
  { userId: UserId.make("bob"), secret: Redacted.make("bob-secret") },
  { userId: UserId.make("olga"), secret: Redacted.make("olga-secret"), roles: ["operator"] }
])
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const sumOf = (numbers: ReadonlyArray<number>) => numbers.reduce((sum, number) => sum + number, 0)

/** The rest of an event stream after the first word of the task, which has an owner then. */
const untilText = Effect.fnUntraced(function*(response: Response) {
  const events = response.body?.getReader()
  assert(events !== undefined)
  let read = ""
  while (!read.includes("\"text\"")) {
    read += new TextDecoder().decode((yield* Effect.promise(() => events.read())).value)
  }
  return events
})

describe("an operator", () => {
  it.effect("lists, reads and cancels the tasks of a user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const first = yield* json(yield* call("/tasks", post({ message: "a" }, as("alice"))))
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold" }, as("alice"))))
      const page = yield* json(yield* call("/operator/users/alice/tasks?limit=1", { headers: as("olga") }))
      assert.deepStrictEqual(page.items.map((task) => task.id), [id])
      const next = yield* json(
        yield* call(`/operator/users/alice/tasks?before=${page.next}`, { headers: as("olga") })
      )
      assert.deepStrictEqual(next.items.map((task) => task.id), [first.id])
      assert.strictEqual((yield* call(`/operator/users/alice/tasks/${id}`, { headers: as("olga") })).status, 200)
      const cancelled = yield* call(`/operator/users/alice/tasks/${id}/cancel`, post({ reason: "costs" }, as("olga")))
      assert.strictEqual((yield* json(cancelled)).status, "cancelled")
      assert.strictEqual((yield* json(yield* call(`/tasks/${id}`, { headers: as("alice") }))).status, "cancelled")
    }))

  it.live("sees which process executes a task; its user does not", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ auth: users, echo })
      const { id } = yield* json(yield* call("/tasks", post({ message: "a hold" }, as("alice"))))
      const events = yield* untilText(yield* call(`/tasks/${id}/events`, { headers: as("alice") }))
      const record = yield* body(yield* call(`/operator/users/alice/tasks/${id}`, { headers: as("olga") }))
      const { runner } = JSON.parse(record)
      assert.isString(runner)
      const page = yield* body(yield* call("/operator/users/alice/tasks", { headers: as("olga") }))
      assert.deepStrictEqual(JSON.parse(page).items.map((task: { readonly runner?: string }) => task.runner), [runner])
      for (const path of ["/tasks", `/tasks/${id}`]) {
        assert.notInclude(yield* body(yield* call(path, { headers: as("alice") })), runner)
      }
      yield* echo.gate.open
      while (!(yield* Effect.promise(() => events.read())).done);
      const ended = yield* body(yield* call(`/operator/users/alice/tasks/${id}`, { headers: as("olga") }))
      assert.notProperty(JSON.parse(ended), "runner")
    }))

  it.effect("P12: sees no titles, which tell what a conversation is about", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const { id } = yield* json(yield* call("/tasks", post({ message: "title a" }, as("alice"))))
      yield* body(yield* call(`/tasks/${id}/events`, { headers: as("alice") }))
      assert.include(yield* body(yield* call(`/tasks/${id}`, { headers: as("alice") })), "A title")
      const requests: ReadonlyArray<readonly [string, RequestInit]> = [
        ["/operator/users/alice/tasks", {}],
        [`/operator/users/alice/tasks/${id}`, {}],
        [`/operator/users/alice/tasks/${id}/cancel`, post({})]
      ]
      for (const [path, init] of requests) {
        const shown = yield* body(yield* call(path, { ...init, headers: { ...init.headers, ...as("olga") } }))
        assert.include(shown, id)
        assert.notInclude(shown, "A title")
      }
    }))

  it.live("lists, counts and times the tasks of all users, and sees the processes that execute them", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const ask = (path: string, user = "olga") => Effect.flatMap(call(path, { headers: as(user) }), body)
      const start = (message: string, user: string) =>
        Effect.flatMap(call("/tasks", post({ message, metadata: { plan: "pro" } }, as(user))), json)
      const first = yield* start("title a", "alice")
      yield* ask(`/tasks/${first.id}/events`, "alice")
      const second = yield* start("a hold", "olga")
      const events = yield* untilText(yield* call(`/tasks/${second.id}/events`, { headers: as("olga") }))
      const records = (query: string) =>
        Effect.map(
          ask(`/operator/tasks?${query}`),
          (text): ReadonlyArray<Record<string, unknown>> => JSON.parse(text).items
        )
      const ids = (query: string) => Effect.map(records(query), (items) => items.map(({ id }) => id))
      assert.deepStrictEqual(yield* ids(""), [second.id, first.id])
      assert.deepStrictEqual(yield* ids("userId=alice"), [first.id])
      assert.deepStrictEqual(yield* ids("status=completed&agentId=echo&order=oldest"), [first.id])
      assert.deepStrictEqual(yield* ids(`conversationId=${second.conversationId}`), [second.id])
      assert.deepStrictEqual(yield* ids(`limit=1&before=${second.id}`), [first.id])
      assert.deepStrictEqual(yield* ids("to=2020-01-01T00:00:00Z"), [])
      assert.deepStrictEqual((yield* records("")).map(({ userId }) => userId), ["olga", "alice"])
      // What a task is about is in no field.
      assert.deepStrictEqual(Object.keys((yield* records("userId=alice"))[0] ?? {}).toSorted(), [
        "agentId",
        "attempt",
        "conversationId",
        "createdAt",
        "endedAt",
        "id",
        "lastSeq",
        "startedAt",
        "status",
        "updatedAt",
        "userId"
      ])
      const counts = { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 }
      assert.deepStrictEqual(JSON.parse(yield* ask("/operator/tasks/counts?userId=alice")), { ...counts, completed: 1 })
      const sum = (text: string) => {
        const minutes: ReadonlyArray<{ readonly started: number; readonly completed: number }> =
          JSON.parse(text).minutes
        return [sumOf(minutes.map(({ started }) => started)), sumOf(minutes.map(({ completed }) => completed))]
      }
      assert.deepStrictEqual(sum(yield* ask("/operator/throughput?userId=alice")), [1, 1])
      assert.deepStrictEqual(sum(yield* ask("/tasks/throughput", "alice")), [1, 1])
      assert.deepStrictEqual(sum(yield* ask("/tasks/throughput", "bob")), [0, 0])
      const { items: [runner] } = JSON.parse(yield* ask("/operator/runners"))
      assert.deepInclude(runner, { version, capacity: 1_000, agents: ["echo"] })
      assert.strictEqual(runner.running, 1)
      assert.deepStrictEqual((yield* records("status=running"))[0]?.["runner"], runner.id)
      assert.deepStrictEqual(yield* ids(`runner=${runner.id}`), [second.id])
      yield* Effect.promise(() => events.cancel())
    }))

  it.effect("P12: reads no events and no messages of others, and finds no task under another user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const { conversationId, id } = yield* json(yield* call("/tasks", post({ message: "a" }, as("alice"))))
      for (
        const path of [
          `/tasks/${id}`,
          `/tasks/${id}/events`,
          `/conversations/${conversationId}`,
          `/conversations/${conversationId}/messages`,
          `/operator/users/olga/tasks/${id}`
        ]
      ) {
        const response = yield* call(path, { headers: as("olga") })
        yield* body(response)
        assert.strictEqual(response.status, 404, path)
      }
    }))

  it.effect("P12: nobody else has its endpoints; without tokens the user of the machine has", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold" }, as("alice"))))
      const requests: ReadonlyArray<readonly [string, RequestInit]> = [
        ["/operator/users/alice/tasks", {}],
        [`/operator/users/alice/tasks/${id}`, {}],
        ["/operator/tasks", {}],
        ["/operator/tasks/counts", {}],
        ["/operator/throughput", {}],
        ["/operator/runners", {}],
        [`/operator/users/alice/tasks/${id}/cancel`, post({})]
      ]
      for (const [path, init] of requests) {
        const refused = yield* call(path, { ...init, headers: { ...init.headers, ...as("alice") } })
        assert.strictEqual(refused.status, 403, path)
        assert.strictEqual((yield* problem(refused)).type, "urn:perennial:problem:operator-only", path)
        const unknown = yield* call(path, init)
        yield* body(unknown)
        assert.strictEqual(unknown.status, 401, path)
      }
      assert.include(["queued", "running"], (yield* json(yield* call(`/tasks/${id}`, { headers: as("alice") }))).status)
      const local = yield* makeCall({ echo: makeEcho() })
      assert.strictEqual((yield* local("/operator/users/local/tasks")).status, 200)
    }))

  it.effect("is named by PERENNIAL_OPERATORS, which must be a user with a token", () =>
    Effect.gen(function*() {
      const read = (operators: string) =>
        ListenConfig.config.parse(
          ConfigProvider.fromUnknown({ PERENNIAL_TOKENS: "alice:s1,olga:s2", PERENNIAL_OPERATORS: operators })
        )
      const { tokens } = yield* read("olga")
      assert.deepStrictEqual(tokens.map(({ userId }) => String(userId)), ["alice", "olga"])
      assert.deepStrictEqual(tokens.map(({ roles }) => roles), [undefined, ["operator"]])
      assert.include((yield* Effect.flip(read("olga, otto"))).message, "PERENNIAL_OPERATORS=otto is not valid")
    }))
})
