/** The bound on open event streams: at the bound the server still answers all other requests. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeServer from "@perennial/http/NodeServer"
import { Context, Effect, Layer } from "effect"
import { MaxStreams } from "../src/internal/maxStreams.ts"
import { maxStreamsOf } from "../src/internal/openFiles.ts"
import { body, type Call, json, layerTokens, makeCall, makeEcho, post, problem } from "./support.ts"

const limit = 3

const start = (call: Call) => Effect.flatMap(call("/tasks", post({ message: "hold" })), json)

/** Opens the largest number of streams. */
const fill = Effect.fnUntraced(function*(call: Call) {
  const { id } = yield* start(call)
  const readers = yield* Effect.forEach(
    Array.from({ length: limit }),
    () =>
      Effect.gen(function*() {
        const response = yield* call(`/tasks/${id}/events`)
        assert(response.status === 200 && response.body !== null)
        const reader = response.body.getReader()
        yield* Effect.promise(() => reader.read())
        return reader
      })
  )
  return { id, readers }
})

describe("a server with the largest number of open streams", () => {
  it.effect("answers one more stream with 503, `Retry-After` and the limit", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { maxStreams: limit } })
      const { id } = yield* fill(call)
      const refused = yield* call(`/tasks/${id}/events`)
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(refused.headers.get("retry-after"), "5")
      // The client would keep its connection, which is an open file.
      assert.strictEqual(refused.headers.get("connection"), "close")
      assert.deepInclude(yield* problem(refused), { type: "urn:perennial:problem:too-many-streams", limit })
    }))

  it.effect("does not start a task with `POST /chat`, because it could not stream the events", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { maxStreams: limit } })
      yield* fill(call)
      const refused = yield* call("/chat", post({ message: "a" }))
      assert.strictEqual((yield* problem(refused)).type, "urn:perennial:problem:too-many-streams")
      assert.strictEqual(refused.headers.get("retry-after"), "5")
      assert.strictEqual((yield* json(yield* call("/tasks"))).items.length, 1)
    }))

  it.effect("still answers health checks and all requests that are not streams", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { maxStreams: limit } })
      const { id } = yield* fill(call)
      for (const path of ["/health", "/ready", "/tasks", `/tasks/${id}`]) {
        const response = yield* call(path)
        yield* body(response)
        assert.strictEqual(response.status, 200, path)
      }
      const page = yield* call(`/tasks/${id}/events`, { headers: { accept: "application/json" } })
      assert.strictEqual((yield* json(page)).events[0]?.seq, 1)
      assert.strictEqual((yield* start(call)).status, "queued")
    }))

  it.effect("accepts streams again when earlier streams have ended", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ echo, server: { maxStreams: limit } })
      const { id, readers } = yield* fill(call)
      yield* echo.gate.open
      for (const reader of readers) {
        while (!(yield* Effect.promise(() => reader.read())).done);
      }
      assert.include(yield* body(yield* call(`/tasks/${id}/events`)), "\"type\":\"done\"")
    }))
})

describe("a user with the largest number of open streams", () => {
  const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })
  const open = (call: Call, user: string) =>
    Effect.gen(function*() {
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold" }, as(user))))
      return yield* call(`/tasks/${id}/events`, { headers: as(user) })
    })

  it.effect("gets 429 for one more, and for `POST /chat`; another user's streams open, and closed ones count no more", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens, server: { maxStreams: 10, maxUserStreams: 2 } })
      const [first] = [yield* open(call, "alice"), yield* open(call, "alice")]
      const refused = yield* open(call, "alice")
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(refused.headers.get("retry-after"), "5")
      // The client would keep its connection, which is an open file.
      assert.strictEqual(refused.headers.get("connection"), "close")
      assert.deepInclude(yield* problem(refused), { type: "urn:perennial:problem:too-many-user-streams", limit: 2 })
      assert.strictEqual((yield* call("/chat", post({ message: "a" }, as("alice")))).status, 429)
      assert.strictEqual((yield* open(call, "bob")).status, 200)
      const page = yield* call("/tasks", { headers: as("alice") })
      assert.strictEqual((yield* json(page)).items.length, 3)
      yield* Effect.promise(async () => first.body?.cancel())
      assert.strictEqual((yield* open(call, "alice")).status, 200)
    }))
})

describe("the bound on streams of a Node.js process", () => {
  const report = (soft: unknown) => ({ userLimits: { open_files: { soft, hard: "unlimited" } } })

  it("is four fifths of the files that the process may open, at most 10,000, and leaves at least 64", () => {
    assert.strictEqual(maxStreamsOf(report(1_024)), 819)
    assert.strictEqual(maxStreamsOf(report(1_048_576)), 10_000)
    assert.strictEqual(maxStreamsOf(report("unlimited")), 10_000)
    assert.strictEqual(maxStreamsOf(report(256)), 192)
    assert.strictEqual(maxStreamsOf(report(1)), 1)
  })

  it("is 10,000 if the process cannot read its limits", () => {
    assert.strictEqual(maxStreamsOf({ header: {} }), 10_000)
    assert.strictEqual(maxStreamsOf(undefined), 10_000)
  })

  it.live("is the default of a server on `NodeServer`", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(NodeServer.layer({ port: 0 }))
      assert.strictEqual(Context.get(context, MaxStreams), maxStreamsOf(process.report.getReport()))
    }).pipe(Effect.scoped))
})
