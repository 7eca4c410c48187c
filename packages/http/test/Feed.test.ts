/** The feed on the wire. */
import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import { topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { Duration, Effect, Exit, Layer, Option, Scope } from "effect"
import { body, json, layerTokens, makeCall, makeEcho, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

interface Snapshot {
  readonly type: string
  readonly tasks: ReadonlyArray<unknown>
  readonly disabledWebhooks?: ReadonlyArray<{
    readonly id?: string
    readonly disabledAt: string
    readonly disabledReason?: string
  }>
}

/** A webhook of Alice that was disabled. A layer is built once: the store is that of the server. */
const disabled = Layer.effectDiscard(Effect.gen(function*() {
  const store = yield* WebhookStore
  const id = WebhookId.make("hook")
  const secrets = [{ value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
  yield* store.put(
    { id, userId: UserId.make("alice") },
    { url: "https://example.com/secret", topics, content: false, secrets }
  )
  yield* store.enqueue([{ webhookId: id, id: "m", body: "{}" }])
  const claim = Option.getOrThrow(yield* store.claim({ lease: Duration.hours(1), except: [] }))
  yield* store.settle(claim, { type: "failed", error: "The receiver answered 410.", retryAfter: undefined })
})).pipe(Layer.orDie, Layer.provide(MemoryWebhookStore.layer))

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

  it.live("P12: the snapshot has the disabled webhooks of the user, with the reason, and nobody else's", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: Layer.merge(layerTokens, disabled) })
      const snapshotOf = Effect.fnUntraced(function*(user: string) {
        const next = chunksOf(yield* call("/feed", { headers: as(user) }))
        assert.strictEqual(yield* next, ": ok\n\n")
        const snapshot: Snapshot = JSON.parse(/data: (.*)\n/.exec((yield* next) ?? "")?.[1] ?? "")
        return snapshot
      })
      const { disabledWebhooks = [], ...rest } = yield* snapshotOf("alice")
      assert.deepStrictEqual(rest, { type: "snapshot", tasks: [] })
      const [{ disabledAt, ...webhook } = { disabledAt: "" }, ...none] = disabledWebhooks
      assert.deepStrictEqual(webhook, { id: "hook", disabledReason: "The receiver answered 410." })
      assert.match(disabledAt, /^\d{4}-\d\d-\d\dT.*Z$/)
      assert.deepStrictEqual(none, [])
      assert.deepStrictEqual(yield* snapshotOf("bob"), { type: "snapshot", tasks: [] })
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
