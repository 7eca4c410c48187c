/** The feed on the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { body, json, layerTokens, makeCall, makeEcho, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

/** The chunks of a response, one after the other. */
const chunksOf = (response: Response) => {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  return Effect.promise(async () => (await reader?.read())?.value)
}

describe("GET /feed", () => {
  it.live("P12: sends frames of the user's tasks with a cursor, without a token nothing", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ echo, auth: layerTokens })
      yield* problem(yield* call("/feed"))
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold" }, as("alice"))))
      const response = yield* call("/feed", { headers: as("alice") })
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      const next = chunksOf(response)
      assert.strictEqual(yield* next, ": ok\n\n")
      const [, cursor, data] = /^id: (\d+)\ndata: (.*)\n\n$/.exec((yield* next) ?? "") ?? []
      const { tasks, type } = JSON.parse(data ?? "") as { type: string; tasks: ReadonlyArray<{ id: string }> }
      assert.deepStrictEqual([type, tasks.map((task) => task.id)], ["snapshot", [id]])
      assert.isAbove(Number(cursor), 0)

      const others = chunksOf(yield* call("/feed", { headers: as("bob") }))
      assert.strictEqual(yield* others, ": ok\n\n")
      assert.strictEqual(yield* others, "id: 0\ndata: {\"type\":\"snapshot\",\"tasks\":[]}\n\n")

      yield* echo.gate.open
      yield* body(yield* call(`/tasks/${id}/events`, { headers: as("alice") }))
      const resumed = chunksOf(
        yield* call("/feed", { headers: { ...as("alice"), "last-event-id": `${cursor}`, accept: "text/event-stream" } })
      )
      assert.strictEqual(yield* resumed, "retry: 1000\n\n")
      assert.include(yield* resumed, "\"completed\"")
    }))

  it.live("ends with a `retry:` hint when the server drains", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const call = yield* Effect.provideService(makeCall({ auth: layerTokens }), Scope.Scope, scope)
      const next = chunksOf(yield* call("/feed", { headers: as("alice") }))
      assert.strictEqual(yield* next, ": ok\n\n")
      assert.include(yield* next, "snapshot")
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.strictEqual(yield* next, "retry: 1000\n\n")
      assert.isUndefined(yield* next)
    }))

  it.live("P11: is refused when the largest number of streams is open", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { maxStreams: 1 } })
      const next = chunksOf(yield* call("/feed"))
      assert.strictEqual(yield* next, ": ok\n\n")
      const refused = yield* call("/feed")
      assert.isNotNull(refused.headers.get("retry-after"))
      assert.strictEqual((yield* problem(refused)).status, 503)
    }))
})
