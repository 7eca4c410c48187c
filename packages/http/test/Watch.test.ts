/**
 * The typed client's watch against answers that a test makes, on a clock that it holds.
 */
import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import { zero } from "@perennial/domain/Usage"
import * as Client from "@perennial/http/Client"
import { Effect, Fiber, Layer, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"

const id = TaskId.make("t1")

const fields = { ack: { messageId: "t1/1" }, text: { content: "a" }, done: { usage: zero } }

const frame = (seq: number, type: keyof typeof fields = "text") =>
  `id: ${seq}\ndata: ${JSON.stringify({ taskId: "t1", conversationId: "c1", type, ...fields[type] })}\n\n`

/** A body that says one text after the other, and then stays open without another byte. */
const silentAfter = (...texts: ReadonlyArray<string>) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const text of texts) controller.enqueue(new TextEncoder().encode(text))
      }
    }),
    { headers: { "content-type": "text/event-stream" } }
  )

const ending = (...texts: ReadonlyArray<string>) =>
  new Response(texts.join(""), { headers: { "content-type": "text/event-stream" } })

const problem = (status: number, fields: object) =>
  Response.json({ status, title: "t", detail: "d", ...fields }, {
    status,
    headers: { "content-type": "application/problem+json" }
  })

/** A server that gives one answer after the other, and remembers from where it was asked. */
const serve = Effect.fnUntraced(function*(...answers: ReadonlyArray<() => Response | Effect.Effect<Response>>) {
  const asked: Array<string | undefined> = []
  const http = HttpClient.make((request) => {
    const answer = answers[asked.length]
    asked.push(request.headers["last-event-id"])
    if (answer === undefined) return Effect.die(new Error("asked too often"))
    const response = answer()
    return Effect.map(
      Effect.isEffect(response) ? response : Effect.succeed(response),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  })
  const { watch } = yield* Effect.provide(
    Client.PerennialClient,
    Client.layer({ baseUrl: "http://test" }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
  )
  return { asked, watch }
})

const settle = Effect.promise(() => new Promise((resolve) => setImmediate(resolve))).pipe(
  Effect.repeat({ times: 20 })
)

describe("watch", () => {
  it.effect("P3: a connection that is silent for two heartbeats is given up, and the next goes on from there", () =>
    Effect.gen(function*() {
      const { asked, watch } = yield* serve(
        () => silentAfter(":\n\n", frame(1, "ack"), frame(2)),
        () => ending(frame(2), frame(3), frame(4, "done"))
      )
      const reader = yield* Effect.forkChild(Stream.runCollect(watch(id)))
      yield* settle
      yield* TestClock.adjust("29 seconds")
      yield* settle
      assert.strictEqual(asked.length, 1)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const events = yield* Fiber.join(reader)
      assert.deepStrictEqual(events.map(({ seq }) => seq), [1, 2, 3, 4])
      assert.deepStrictEqual(asked, [undefined, "2"])
    }))

  it.effect("a request that is never answered is given up as soon", () =>
    Effect.gen(function*() {
      const { asked, watch } = yield* serve(() => Effect.never, () => ending(frame(1, "done")))
      const reader = yield* Effect.forkChild(Stream.runCollect(watch(id)))
      yield* settle
      yield* TestClock.adjust("31 seconds")
      yield* settle
      assert.strictEqual((yield* Fiber.join(reader)).length, 1)
      assert.strictEqual(asked.length, 2)
    }))

  it.effect("heartbeats keep an idle connection, and a reader that stalls is no silence", () =>
    Effect.gen(function*() {
      let beat = () => {}
      let end = () => {}
      const { asked, watch } = yield* serve(() =>
        new Response(
          new ReadableStream<Uint8Array>({
            start: (controller) => {
              const say = (text: string) => controller.enqueue(new TextEncoder().encode(text))
              beat = () => say(": ping\n\n")
              end = () => {
                say(frame(2, "done"))
                controller.close()
              }
              say(frame(1, "ack"))
            }
          }),
          { headers: { "content-type": "text/event-stream" } }
        )
      )
      const reader = yield* Effect.forkChild(
        watch(id).pipe(
          Stream.tap(({ seq }) => seq === 1 ? Effect.sleep("5 minutes") : Effect.void),
          Stream.runCollect
        )
      )
      yield* settle
      yield* TestClock.adjust("5 minutes")
      for (let i = 0; i < 20; i++) {
        yield* settle
        yield* TestClock.adjust("15 seconds")
        beat()
      }
      yield* settle
      end()
      assert.strictEqual((yield* Fiber.join(reader)).length, 2)
      assert.strictEqual(asked.length, 1)
    }))

  it.effect("408, 425, 429, 5xx and answers of other servers are asked again", () =>
    Effect.gen(function*() {
      const { asked, watch } = yield* serve(
        ...[408, 425, 429, 500, 502, 503, 504].map((status) => () => new Response("<html>", { status })),
        () => problem(503, { type: "urn:perennial:problem:unavailable" }),
        () => ending(frame(1, "done"))
      )
      const reader = yield* Effect.forkChild(Stream.runCollect(watch(id)))
      for (let i = 0; i < 10; i++) {
        yield* settle
        yield* TestClock.adjust("15 seconds")
      }
      assert.strictEqual((yield* Fiber.join(reader)).length, 1)
      assert.strictEqual(asked.length, 9)
    }))

  it.effect("every other refusal ends it by name", () =>
    Effect.gen(function*() {
      const gone = { type: "urn:perennial:problem:events-expired", taskId: "t1" }
      const { watch } = yield* serve(() => problem(410, gone), () => new Response("no", { status: 418 }))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(watch(id))))._tag, "EventsExpired")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(watch(id))))._tag, "HttpClientError")
    }))

  it.effect("204 ends it without an event", () =>
    Effect.gen(function*() {
      const { watch } = yield* serve(() => new Response(null, { status: 204 }))
      assert.deepStrictEqual(yield* Stream.runCollect(watch(id, { after: 7 })), [])
    }))
})
