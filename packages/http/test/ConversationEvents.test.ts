/** The events of a conversation on the wire, and their readers. */
import { assert, describe, it } from "@effect/vitest"
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { ConversationId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import { readConversation } from "@perennial/http/EventReader"
import { Context, Effect, Exit, Layer, Queue, Scope, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { makeCuttingProxy } from "./cuttingProxy.ts"
import { tagOf } from "./eventReaderTag.ts"
import { serve } from "./nodeServer.ts"
import { body, json, layerMemory, layerTokens, makeCall, makeEcho, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

/** The chunks of a response, one after the other. */
const chunksOf = (response: Response) => {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  return Effect.promise(async () => (await reader?.read())?.value)
}

const path = "/conversations/c1/events"

describe("GET /conversations/{id}/events", () => {
  it.live("P12: frames of the user's conversation with a cursor across tasks; for others there is none", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const say = (message: string) => call("/tasks", post({ message, conversationId: "c1" }, as("alice")))
      const { id } = yield* json(yield* say("a"))
      const events = yield* body(yield* call(`/tasks/${id}/events`, { headers: as("alice") }))
      const response = yield* call(path, { headers: as("alice") })
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      const next = chunksOf(response)
      assert.strictEqual(yield* next, ": ok\n\n")
      // The frames of the task, with the place as their id.
      const frames = events.slice(": ok\n\n".length).replaceAll(/^id: /gm, `id: ${id}/`)
      assert.strictEqual(yield* next, frames)
      assert.strictEqual((yield* problem(yield* call(path, { headers: as("bob") }))).status, 404)
      yield* problem(yield* call(path))

      const last = /id: (.*)\n.*\n\n$/.exec(frames)?.[1] ?? ""
      const resumed = chunksOf(
        yield* call(path, { headers: { ...as("alice"), "last-event-id": last, accept: "text/event-stream" } })
      )
      assert.strictEqual(yield* resumed, "retry: 1000\n\n")
      const { id: second } = yield* json(yield* say("b"))
      assert.isTrue((yield* resumed)?.startsWith(`id: ${second}/1\n`))
      const first = chunksOf(yield* call(`${path}?after=${encodeURIComponent(last)}`, { headers: as("alice") }))
      assert.strictEqual(yield* first, ": ok\n\n")
      assert.isTrue((yield* first)?.startsWith(`id: ${second}/1\n`))
    }))

  it.live("a cursor that is none is 400, one ahead is 422", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const { id } = yield* json(yield* call("/tasks", post({ message: "a", conversationId: "c1" })))
      for (const cursor of ["7", "t1", "t1/", "t1/0", "t1/-1", "/1"]) {
        assert.strictEqual((yield* problem(yield* call(path, { headers: { "last-event-id": cursor } }))).status, 400)
      }
      const ahead = yield* problem(yield* call(path, { headers: { "last-event-id": `${id}/99` } }))
      assert.deepStrictEqual([ahead.status, ahead.taskId, ahead.after], [422, id, 99])
    }))

  it.live("ends with a `retry:` hint when the server drains; P11: counts as an open stream of its user", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const call = yield* Effect.provideService(
        makeCall({ auth: layerTokens, server: { maxUserStreams: 1 } }),
        Scope.Scope,
        scope
      )
      yield* call("/tasks", post({ message: "hold", conversationId: "c1" }, as("alice")))
      const next = chunksOf(yield* call(path, { headers: as("alice") }))
      assert.strictEqual(yield* next, ": ok\n\n")
      assert.strictEqual((yield* problem(yield* call(path, { headers: as("alice") }))).status, 429)
      assert.include(yield* next, "\"ack\"")
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      let last: string | undefined
      for (let text = yield* next; text !== undefined; text = yield* next) last = text
      assert.strictEqual(last, "retry: 1000\n\n")
    }))

  it.live("P12: a ticket opens the stream of a conversation of its user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      yield* call("/tasks", post({ message: "a", conversationId: "c1" }, as("alice")))
      const ticketOf = (user: string) => Effect.flatMap(call("/tickets", post({}, as(user))), json)
      const { ticket } = yield* ticketOf("alice")
      assert.strictEqual(yield* chunksOf(yield* call(`${path}?ticket=${ticket}`)), ": ok\n\n")
      const { ticket: other } = yield* ticketOf("bob")
      assert.strictEqual((yield* problem(yield* call(`${path}?ticket=${other}`))).status, 404)
    }))
})

type Read = (
  port: number,
  after?: EventPlace
) => Effect.Effect<Stream.Stream<EventPlace, { readonly _tag: string }>, never, Scope.Scope>

const c1 = ConversationId.make("c1")

const readers: Readonly<Record<string, Read>> = {
  "the typed client": (port, after) =>
    Layer.build(Client.layer({ baseUrl: `http://127.0.0.1:${port}` }).pipe(Layer.provide(FetchHttpClient.layer))).pipe(
      Effect.map(Context.get(Client.PerennialClient)),
      Effect.map(({ watchConversation }) => Stream.map(watchConversation(c1, { after }), placeOf))
    ),
  EventReader: (port, after) =>
    Effect.succeed(Stream.map(
      Stream.fromAsyncIterable(
        readConversation(`http://127.0.0.1:${port}${path}`, {
          after: after && `${after.taskId}/${after.seq}`,
          pause: () => 5,
          maxFailures: 1_000
        }),
        tagOf
      ),
      ({ event, seq, at }) => placeOf({ seq, at, event } satisfies StoredEvent)
    ))
}

describe.each(Object.entries(readers))("%s", (_, read) => {
  it.live("P3: a reader of a conversation gets every event once, in order, wherever its connections are cut", () =>
    Effect.gen(function*() {
      const context = yield* Effect.orDie(Layer.build(layerMemory(makeEcho())))
      const { port } = yield* serve(Layer.succeedContext(context))
      const { await: ended, events, start } = Context.get(context, TaskManager)
      // Each connection has at least one event, so that the pauses stay short.
      const proxy = yield* makeCuttingProxy(port, (n) => [700, 1_300, 950][n % 3] ?? 0)
      const seen = yield* Queue.unbounded<EventPlace>()
      const say = (message: string) => Effect.flatMap(start({ message, conversationId: c1 }), ({ id }) => ended(id))
      const tasks = [yield* say("5x1"), yield* say("a")]
      yield* Effect.forkChild(Stream.runForEach(yield* read(proxy.port), (place) => Queue.offer(seen, place)))
      tasks.push(yield* say("5x1"))
      const logs = yield* Effect.forEach(tasks, ({ task }) => Effect.flatMap(events(task.id), Stream.runCollect))
      const all = logs.flat().map(placeOf)
      assert.deepStrictEqual(yield* Queue.takeN(seen, all.length), all)
      assert.isAbove(proxy.connections(), 3)
      const [after] = all.slice(3)
      const rest = yield* Stream.runCollect(Stream.take(yield* read(port, after), all.length - 4))
      assert.deepStrictEqual(rest, all.slice(4))
    }))
})
