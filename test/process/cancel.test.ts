import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import * as Client from "@perennial/http/Client"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import * as Evergreen from "../support/evergreen.ts"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const answer = { actions: [{ text: ["All is well."] }] }

/** Asserts that the next turn works: the fake API refuses an invalid history, and the task would end with `error`. */
const assertNextTurn = Effect.fnUntraced(function*(address: string, conversationId: string) {
  const next = yield* Rest.start(address, { message: "And now?", conversationId })
  const { events } = yield* Sse.read(`${address}/tasks/${next}/events`)
  assert.strictEqual(events.at(-1)?.data.type, "done", JSON.stringify(events.at(-1)?.data))
})

const messages = (address: string, conversationId: string) =>
  Effect.map(Rest.get(`${address}/conversations/${conversationId}/messages`), ({ body }) => body.items)

describe("cancel", () => {
  it.live("P7, SCENARIO 23: during a text: the model request is aborted, the text is kept, and nothing is written afterwards", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["I was ", "about to"] }, { hang: true }] }, answer)
      const id = yield* Rest.start(address, { message: "Say something.", conversationId: "c1" })
      const request = yield* fake.nextRequest
      const { cancelled, rest } = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Sse.connect(`${address}/tasks/${id}/events`)
        yield* Sse.readUntil(reader, ({ data }) => data.type === "text" && String(data["content"]).endsWith("to"))
        const cancelled = yield* Rest.post(`${address}/tasks/${id}/cancel`, { reason: "enough" })
        return { cancelled, rest: yield* Sse.readAll(reader) }
      }))
      assert.deepStrictEqual([cancelled.status, cancelled.body.status], [200, "cancelled"])
      assert.strictEqual(yield* request.end, "aborted")
      assert.deepStrictEqual([rest.end, Sse.types(rest.events)], ["end", ["message", "cancelled"]])
      assert.deepInclude(rest.events[0]?.data, { partial: true })
      assert.deepInclude(rest.events[1]?.data, { reason: "enough" })
      const kept = yield* messages(address, "c1")
      assert.deepStrictEqual(
        kept.map(({ message, status }: { message: { role: string }; status: string }) => [message.role, status]),
        [["user", "complete"], ["assistant", "partial"]]
      )
      assert.deepStrictEqual(kept[1].message.content, [{ type: "text", text: "I was about to" }])
      yield* assertNextTurn(address, "c1")
      assert.deepStrictEqual((yield* messages(address, "c1")).slice(0, 2), kept)
      assert.strictEqual((yield* Rest.get(`${address}/tasks/${id}`)).body.lastSeq, rest.events[1]?.id)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("SCENARIO 20, 21: a running tool call is interrupted and gets a result, and the next message is accepted", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({
        actions: [
          { text: ["Two things."] },
          { toolUse: { id: "now", name: "current_time", input: {} } },
          { toolUse: { id: "later", name: "wait", input: { seconds: 600 } } }
        ]
      }, answer)
      const id = yield* Rest.start(address, { message: "What time is it in 10 minutes?", conversationId: "c1" })
      const url = `${address}/tasks/${id}/events`
      const done = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Sse.connect(url)
        const open = new Set(["tool_result", "tool_progress"])
        yield* Sse.readUntil(reader, ({ data }) => open.delete(data.type) && open.size === 0)
        const cancelled = yield* Rest.post(`${address}/tasks/${id}/cancel`)
        assert.deepStrictEqual([cancelled.status, cancelled.body.status], [200, "cancelled"])
        return yield* Sse.readAll(reader)
      }))
      assert.strictEqual(done.events.at(-1)?.data.type, "cancelled")
      const log = (yield* Sse.read(url)).events
      Sse.assertExact(log)
      const results = log.filter(({ data }) => data.type === "tool_result")
      assert.deepStrictEqual(results.map(({ data }) => [data["tool"], data["status"]]), [
        ["current_time", "completed"],
        ["wait", "interrupted"]
      ])
      yield* assertNextTurn(address, "c1")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("SCENARIO 22: a disconnect does not cancel the task; a cancel works after a reconnect", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["One ", "two"] }, { hang: true }] })
      const id = yield* Rest.start(address, { message: "Count." })
      const url = `${address}/tasks/${id}/events`
      const untilText = (after: number) =>
        Effect.scoped(
          Effect.flatMap(Sse.connect(url, { after }), (reader) =>
            Sse.readUntil(reader, ({ data }) => data.type === "text"))
        )
      yield* untilText(0)
      yield* untilText(2)
      assert.strictEqual((yield* Rest.get(`${address}/tasks/${id}`)).body.status, "running")
      assert.strictEqual((yield* Rest.post(`${address}/tasks/${id}/cancel`)).body.status, "cancelled")
      // A second cancel after the end changes nothing.
      assert.strictEqual((yield* Rest.post(`${address}/tasks/${id}/cancel`)).status, 200)
      Sse.assertExact((yield* Sse.read(url)).events)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("SCENARIO 24: the typed client of a cancelled task ends after one request", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["One "] }, { hang: true }] })
      const id = TaskId.make(yield* Rest.start(address, { message: "Count." }))
      let requests = 0
      const counted = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.tapRequest(() => Effect.sync(() => void requests++)))
      ).pipe(Layer.provide(FetchHttpClient.layer))
      const types = yield* Effect.gen(function*() {
        const { watch } = yield* Client.PerennialClient
        return yield* watch(id).pipe(
          Stream.tap(({ event }) => event.type === "text" ? Rest.post(`${address}/tasks/${id}/cancel`) : Effect.void),
          Stream.map(({ event }) => event.type),
          Stream.runCollect
        )
      }).pipe(Effect.provide(Client.layer({ baseUrl: address }).pipe(Layer.provide(counted))))
      assert.strictEqual(types.at(-1), "cancelled")
      assert.strictEqual(requests, 1)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("SCENARIO 19: with a cancel near the end of a task, `cancel` and the log have the same outcome", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.otherwise(() => answer)
      for (let i = 0; i < 10; i++) {
        const id = yield* Rest.start(address, { message: "Hurry.", conversationId: "c1" })
        const url = `${address}/tasks/${id}/events`
        const { answer, log } = yield* Effect.scoped(Effect.gen(function*() {
          const reader = yield* Sse.connect(url)
          if (i % 2 === 0) yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
          const answer = yield* Rest.post(`${address}/tasks/${id}/cancel`)
          return { answer, log: yield* Effect.map(Sse.read(url), ({ events }) => events) }
        }))
        Sse.assertExact(log)
        const end = log.at(-1)?.data.type
        assert.deepStrictEqual([answer.status, answer.body.status], [200, end === "done" ? "completed" : end])
      }
      yield* assertNextTurn(address, "c1")
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
