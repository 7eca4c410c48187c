/** Messages with parts of a type that this version does not know, over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { ConversationId } from "@perennial/domain/Ids"
import { zero } from "@perennial/domain/Usage"
import * as Client from "@perennial/http/Client"
import * as EventReader from "@perennial/http/EventReader"
import { Context, Effect, Latch, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { makeManager, serve } from "./nodeServer.ts"
import { body, json, makeCall, post } from "./support.ts"

const raw = { type: "audio", data: "x", rate: { hz: 8000 } }

/** A task of a newer version. */
const newer = {
  agent: make("newer", (_, emit) =>
    Effect.as(
      emit([{
        type: "message",
        message: { role: "assistant", content: [{ type: "text", text: "Listen:" }, { type: "unknown", raw }] },
        usage: zero
      }]),
      { usage: zero }
    )),
  gate: Latch.makeUnsafe(true)
}

const onTheWire = [{ type: "text", text: "Listen:" }, raw]
const decoded = [{ type: "text", text: "Listen:" }, { type: "unknown", raw }]

describe("a part of a type that this version does not know", () => {
  it.effect("goes over the wire unchanged, in streams, pages and messages", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ echo: newer })
      const { id } = yield* json(yield* call("/tasks", post({ message: "hello", conversationId: "c1" })))
      assert.include(yield* body(yield* call(`/tasks/${id}/events`)), JSON.stringify(onTheWire))
      const page = yield* json(yield* call(`/tasks/${id}/events`, { headers: { accept: "application/json" } }))
      assert.include(JSON.stringify(page.events[2]?.event), JSON.stringify(onTheWire))
      const { items } = yield* json(yield* call("/conversations/c1/messages"))
      assert.deepStrictEqual<unknown>(items[1]?.message, { role: "assistant", content: onTheWire })
    }))

  it.live("arrives as an unknown part in the typed client and in the small reader", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(newer))
      const baseUrl = `http://127.0.0.1:${port}`
      const client = Context.get(
        yield* Layer.build(Client.layer({ baseUrl }).pipe(Layer.provide(FetchHttpClient.layer))),
        Client.PerennialClient
      )
      const conversationId = ConversationId.make("c1")
      const { body: task } = yield* client.tasks.start({ payload: { message: "hello", conversationId } })
      const watched = yield* Stream.runCollect(client.watch(task.id))
      const read = yield* Stream.runCollect(
        Stream.fromAsyncIterable(EventReader.read(`${baseUrl}/tasks/${task.id}/events`), String)
      )
      for (const events of [watched, read]) {
        const { event } = events.find(({ event }) => event.type === "message") ?? assert.fail("there is no message")
        assert.deepStrictEqual<unknown>(event.type === "message" && event.message.content, decoded)
      }
      const { items } = yield* client.conversations.messages({ params: { id: conversationId } })
      assert.deepStrictEqual<unknown>(items[1]?.message.content, decoded)
    }))

  it.effect("is refused in the message of a caller", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const part of [raw, { type: "unknown", raw }]) {
        const refused = yield* call("/tasks", post({ message: { role: "user", content: [part] } }))
        assert.strictEqual(refused.status, 400)
      }
    }))
})
