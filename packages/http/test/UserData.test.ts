/** The export and the deletion of a user over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import { ConversationStoreError } from "@perennial/domain/TaskError"
import { type Receipt, UserData } from "@perennial/domain/UserData"
import { ExportLine } from "@perennial/domain/UserExport"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import { Effect, Exit, Layer, Redacted, Schema, Stream } from "effect"
import { body, type Call, discard, json, layerMemory, makeCall, makeEcho, post, problem } from "./support.ts"

const users = Tokens.layer([
  { userId: UserId.make("alice"), secret: Redacted.make("alice-secret") },
  { userId: UserId.make("bob"), secret: Redacted.make("bob-secret") },
  { userId: UserId.make("olga"), secret: Redacted.make("olga-secret"), roles: ["operator"] }
])
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.toCodecJson(ExportLine)))

const read = Effect.fnUntraced(function*(call: Call, path: string, user: string) {
  const response = yield* call(path, { headers: as(user) })
  assert.strictEqual(response.status, 200)
  assert.include(response.headers.get("content-type"), "application/x-ndjson")
  assert.strictEqual(response.headers.get("cache-control"), "no-store")
  const text = yield* body(response)
  assert.isTrue(text.endsWith("\n"))
  return { text, lines: text.trimEnd().split("\n").map((line) => decodeLine(line)) }
})

const run = Effect.fnUntraced(function*(call: Call, user: string, message: string) {
  const task = yield* json(yield* call("/tasks", post({ message }, as(user))))
  yield* body(yield* call(`/tasks/${task.id}/events`, { headers: as(user) }))
  return task
})

const receiptOf = (response: Response) => Effect.promise(() => response.json() as Promise<Receipt>)

const zeros = { conversations: 0, messages: 0, tasks: 0, events: 0, intents: 0, webhooks: 0, deliveries: 0 }

describe("the data of a user over HTTP", () => {
  it.effect("P12: an export is complete, and has nothing of another user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      yield* run(call, "alice", "title one")
      yield* run(call, "alice", "two")
      yield* run(call, "bob", "three")
      const { lines, text } = yield* read(call, "/users/me/export", "alice")
      const types = lines.map(({ type }) => type)
      assert.deepStrictEqual([types[0], types[types.length - 1]], ["user", "end"])
      const end = lines[lines.length - 1]
      assert(end?.type === "end")
      assert.deepInclude(end.counts, { conversations: 2, messages: 4, tasks: 2 })
      assert.strictEqual(end.counts.events, types.filter((type) => type === "event").length)
      assert.include(text, "one")
      assert.notInclude(text, "three")
      assert.strictEqual((yield* read(call, "/operator/users/alice/export", "olga")).lines.length, lines.length)
      yield* discard(yield* call("/users/me/export", { method: "HEAD", headers: as("alice") }))
    }))

  it.effect("a deletion ends the active tasks and their streams, and leaves nothing", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const kept = yield* run(call, "bob", "three")
      yield* run(call, "alice", "one")
      const { id } = yield* json(yield* call("/tasks", post({ message: "a hold" }, as("alice"))))
      const stream = yield* call(`/tasks/${id}/events`, { headers: as("alice") })
      const receipt = yield* call("/users/me", { method: "DELETE", headers: as("alice") })
      assert.strictEqual(receipt.status, 200)
      assert.deepInclude(yield* receiptOf(receipt), { conversations: 2, tasks: 2, intents: 1 })
      yield* body(stream)
      assert.strictEqual((yield* problem(yield* call(`/tasks/${id}`, { headers: as("alice") }))).status, 404)
      assert.deepStrictEqual((yield* json(yield* call("/conversations", { headers: as("alice") }))).items, [])
      const again = yield* call("/users/me", { method: "DELETE", headers: as("alice") })
      assert.deepStrictEqual(yield* receiptOf(again), zeros)
      assert.strictEqual((yield* json(yield* call(`/tasks/${kept.id}`, { headers: as("bob") }))).status, "completed")
      const byOperator = yield* call("/operator/users/bob", { method: "DELETE", headers: as("olga") })
      assert.deepInclude(yield* receiptOf(byOperator), { conversations: 1, tasks: 1 })
      assert.strictEqual((yield* problem(yield* call(`/tasks/${kept.id}`, { headers: as("bob") }))).status, 404)
    }))

  it.effect("a server without `UserData` answers 404, and to others than operators 403", () =>
    Effect.gen(function*() {
      const { handler } = yield* Effect.acquireRelease(
        Effect.sync(() => Server.toWebHandler(Layer.merge(layerMemory(makeEcho()), users))),
        ({ dispose }) => Effect.promise(dispose)
      )
      const call: Call = (path, init) =>
        Effect.promise(() => handler(new Request(`http://localhost:3000${path}`, init)))
      const requests = [
        ["/users/me/export", "GET", "alice"],
        ["/users/me", "DELETE", "alice"],
        ["/operator/users/alice/export", "GET", "olga"],
        ["/operator/users/alice", "DELETE", "olga"]
      ] as const
      for (const [path, method, user] of requests) {
        const answer = yield* problem(yield* call(path, { method, headers: as(user) }))
        assert.deepInclude(answer, { status: 404, type: "urn:perennial:problem:route-not-found" })
      }
      const denied = yield* call("/operator/users/alice", { method: "DELETE", headers: as("bob") })
      assert.strictEqual((yield* problem(denied)).status, 403)
    }))

  it.effect("an export whose store fails in the middle breaks off without its last line", () =>
    Effect.gen(function*() {
      const broken = Stream.concat(
        Stream.succeed<ExportLine>({ type: "end", counts: { ...zeros } }),
        Stream.fail(new ConversationStoreError({ operation: "messages", cause: "broken" }))
      )
      const failing = Layer.succeed(UserData, {
        export: () => broken,
        erase: () => Effect.fail(new ConversationStoreError({ operation: "delete", cause: "broken" }))
      })
      const call = yield* makeCall({ auth: Layer.merge(users, failing) })
      const response = yield* call("/users/me/export", { headers: as("alice") })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.tryPromise(() => response.text()))))
      const refused = yield* problem(yield* call("/users/me", { method: "DELETE", headers: as("alice") }))
      assert.deepInclude(refused, { status: 503, type: "urn:perennial:problem:unavailable" })
      assert.notInclude(JSON.stringify(refused), "broken")
    }))
})
