import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import * as Client from "@perennial/http/Client"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Fiber, Latch, Layer, Schedule, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Evergreen from "../support/evergreen.ts"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const answer = { actions: [{ text: ["All ", "is ", "well."] }] }

const count = (events: ReadonlyArray<Sse.Seen>, type: string) => events.filter(({ data }) => data.type === type).length

/** P8, P3, P4: the log of a task that was resumed once has the events from before the crash, and one terminal event. */
const assertResumed = (before: ReadonlyArray<Sse.Seen>, log: ReadonlyArray<Sse.Seen>) => {
  Sse.assertExact(log)
  assert.deepStrictEqual(log.slice(0, before.length), before)
  assert.strictEqual(count(log, "resumed"), 1)
  assert.strictEqual(log.at(-1)?.data.type, "done")
}

const assertNextTurn = Effect.fnUntraced(function*(address: string, conversationId: string) {
  const next = yield* Rest.start(address, { message: "And now?", conversationId })
  const { events } = yield* Sse.read(`${address}/tasks/${next}/events`)
  assert.strictEqual(events.at(-1)?.data.type, "done")
})

describe("kill -9 and restart on the same database", () => {
  it.live("P8, SCENARIO 25, 29: killed during a text, the task goes on with the same id, and the next turn is accepted", () =>
    Effect.gen(function*() {
      const { address, fake, first, restart } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["All ", "was "] }, { hang: true }] }, answer, answer)
      const id = yield* Rest.start(address, { message: "How is it?", conversationId: "c1" })
      const url = `${address}/tasks/${id}/events`
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Sse.connect(url)
        const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
        yield* first.kill
        const rest = yield* Sse.readAll(reader)
        assert.strictEqual(rest.end, "cut")
        return [...seen, ...rest.events]
      }))
      yield* restart
      const after = yield* Sse.read(url, { after: before.at(-1)?.id })
      const log = (yield* Sse.read(url)).events
      assertResumed(before, log)
      assert.deepStrictEqual([...before, ...after.events], log)
      assert.deepInclude((yield* Rest.get(`${address}/tasks/${id}`)).body, { id, status: "completed", attempt: 2 })
      yield* assertNextTurn(address, "c1")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P10: killed during a safe tool call, the call runs again with the same id and has one result", () =>
    Effect.gen(function*() {
      const { address, fake, first, restart } = yield* Evergreen.make
      yield* fake.push(
        { actions: [{ text: ["I wait."] }, { toolUse: { id: "call_1", name: "wait", input: { seconds: 6 } } }] },
        answer,
        answer
      )
      const id = yield* Rest.start(address, { message: "Wait six seconds.", conversationId: "c1" })
      const url = `${address}/tasks/${id}/events`
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Sse.connect(url)
        const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "tool_progress")
        yield* first.kill
        return [...seen, ...(yield* Sse.readAll(reader)).events]
      }))
      yield* restart
      const log = (yield* Sse.read(url)).events
      assertResumed(before, log)
      const calls = log.filter(({ data }) => data.type === "tool_call")
      assert.strictEqual(new Set(calls.map(({ data }) => data["toolCallId"])).size, 1)
      assert.strictEqual(calls.length, 2)
      const results = log.filter(({ data }) => data.type === "tool_result")
      assert.deepStrictEqual(results.map(({ data }) => data["status"]), ["completed"])
      // The finished model response was not requested again.
      assert.strictEqual((yield* fake.requests).length, 2)
      yield* assertNextTurn(address, "c1")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P8: queued tasks of the conversation run after the killed task, in order", () =>
    Effect.gen(function*() {
      const { address, fake, first, restart } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["Hm "] }, { hang: true }] }, answer, answer, answer)
      const ids = yield* Effect.forEach(["one", "two", "three"], (message) =>
        Rest.start(address, { message, conversationId: "c1", onBusy: "enqueue" }))
      yield* Effect.scoped(Effect.flatMap(
        Sse.connect(`${address}/tasks/${ids[0]}/events`),
        (reader) =>
          Sse.readUntil(reader, ({ data }) => data.type === "text")
      ))
      yield* first.kill
      yield* restart
      for (const id of ids) {
        const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
        Sse.assertExact(events)
        assert.strictEqual(events.at(-1)?.data.type, "done")
      }
      const { body } = yield* Rest.get(`${address}/conversations/c1/messages`)
      assert.deepStrictEqual(
        body.items.map(({ taskId }: { taskId: string }) => taskId),
        ids.flatMap((id) => [id, id])
      )
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("SCENARIO 29: the typed client watches a task during the crash, and gets every event once", () =>
    Effect.gen(function*() {
      const { address, fake, first, restart } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["All ", "was "] }, { hang: true }] }, answer)
      const id = TaskId.make(yield* Rest.start(address, { message: "How is it?" }))
      const streams = yield* Latch.make()
      const watching = yield* Client.PerennialClient.pipe(
        Effect.flatMap((client) =>
          client.watch(id, { schedule: Schedule.spaced("100 millis") }).pipe(
            Stream.tap(({ event }) => event.type === "text" ? streams.open : Effect.void),
            Stream.runCollect
          )
        ),
        Effect.provide(Client.layer({ baseUrl: address }).pipe(Layer.provide(FetchHttpClient.layer))),
        Effect.forkChild
      )
      yield* streams.await
      yield* first.kill
      yield* restart
      const events = yield* Fiber.join(watching)
      assert.deepStrictEqual(events.map(({ seq }) => seq), events.map((_, i) => i + 1))
      assert.strictEqual(events.at(-1)?.event.type, "done")
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

describe("SIGTERM", () => {
  it.live("P8, SCENARIO 26: streams end without an error, the server exits with 0, and the next process resumes the task at once", () =>
    Effect.gen(function*() {
      const { address, fake, first, restart } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["All ", "was "] }, { hang: true }] }, answer, answer)
      const id = yield* Rest.start(address, { message: "How is it?", conversationId: "c1" })
      const url = `${address}/tasks/${id}/events`
      const request = yield* fake.nextRequest
      const before = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Sse.connect(url)
        const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
        assert.strictEqual(yield* first.terminate, 0)
        const rest = yield* Sse.readAll(reader)
        assert.strictEqual(rest.end, "end")
        return [...seen, ...rest.events]
      }))
      assert.strictEqual(yield* request.end, "aborted")
      yield* restart
      assertResumed(before, (yield* Sse.read(url)).events)
      yield* assertNextTurn(address, "c1")
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
