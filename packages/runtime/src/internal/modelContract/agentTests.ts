/** The contract of a provider: tasks of an agent. The API accepts every request that the agent makes of earlier answers. */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert } from "@effect/vitest"
import { citations, type UserMessage } from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import * as LlmAgent from "../../LlmAgent.ts"
import * as TaskRuntime from "../../TaskRuntime.ts"
import * as Testing from "../../Testing.ts"
import { type ContractTest, contractTest, type UnderTest } from "./contractTest.ts"

const Weather = Tool.make("weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ degrees: Schema.Finite })
})
const Now = Tool.make("now", { description: "The time", success: Schema.String })
const Tools = Toolkit.make(Weather, Now)

/** The whole system, and the cities whose weather was asked for. */
const systemOf = ({ model }: UnderTest, retries = 1) => {
  const cities: Array<string> = []
  const tools = Tools.toLayer({
    weather: ({ city }) =>
      Effect.sync(() => {
        cities.push(city)
        return { degrees: city.length }
      }),
    now: () => Effect.succeed("noon")
  })
  const agent = LlmAgent.layer({
    agentId: "assistant",
    systemPrompt: "Be brief.",
    tools: Tools,
    retry: { times: retries, baseDelay: "1 millis" },
    model
  }).pipe(Layer.provide(tools))
  const layer = TaskRuntime.layerMemory.pipe(Layer.provide([agent, Logger.layer([])]))
  return { cities, layer }
}

/** The log of a task in a conversation. */
const run = Effect.fnUntraced(function*(message: string | UserMessage = "hi") {
  const manager = yield* TaskManager
  const { id } = yield* manager.start({ message, conversationId: "conversation-1" })
  return yield* Stream.runCollect(yield* manager.events(id))
})

const typesOf = (log: ReadonlyArray<StoredEvent>) =>
  log.flatMap(({ event }) => {
    if (event.type === "error") return [`error ${event.error}`]
    if (event.type === "retry") return [`retry ${event.reason}`]
    return event.type === "message" || event.type === "done" || event.type === "tool_result" ? [event.type] : []
  })

const bodyOf = (request: { readonly body: unknown } | undefined): string => JSON.stringify(request?.body)

const weather = (id: string, city: string) => ({ call: { id, name: "weather", args: { city } } })

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

export const agentTests: ReadonlyArray<ContractTest> = [
  contractTest({
    name: "parallel calls are executed once each, and their results come back",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { cities, layer } = systemOf(underTest)
        yield* api.push(
          {
            actions: [
              { text: ["I look."] },
              weather("call_1", "Oslo"),
              weather("call_2", "Bergen"),
              { call: { id: "call_3", name: "now", args: {} } }
            ]
          },
          { actions: [{ text: ["It is 4."] }] }
        )
        const log = yield* Effect.provide(run(), layer)
        const results = ["tool_result", "tool_result", "tool_result"]
        assert.deepStrictEqual(typesOf(log), ["message", ...results, "message", "done"])
        assert.sameMembers(cities, ["Oslo", "Bergen"])
        const [, second] = yield* api.requests
        assert.include(bodyOf(second), "degrees")
        assert.include(bodyOf(second), "noon")
      })
  }),
  contractTest({
    name: "reasoning comes back in the requests after it, also in the next task",
    needs: "reasoning",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest)
        yield* api.push(
          {
            actions: [{ reasoning: ["Oslo?"], state: "state-1" }, weather("call_1", "Oslo"), weather("call_2", "Rome")]
          },
          { actions: [{ reasoning: ["4."], state: "state-2" }, { text: ["It is 4."] }] },
          { actions: [{ text: ["Bye."] }] }
        )
        const logs = yield* Effect.provide(Effect.all([run(), run("again")]), layer)
        const results = ["tool_result", "tool_result"]
        assert.deepStrictEqual(logs.map(typesOf), [["message", ...results, "message", "done"], ["message", "done"]])
        const [, second, third] = yield* api.requests
        assert.match(bodyOf(second), /state-1|Oslo\?/)
        assert.strictEqual((yield* api.requests).length, 3)
        assert.isDefined(third)
      })
  }),
  contractTest({
    name: "a search that the provider executes has its sources in the message, and the API accepts it in the next turn",
    needs: "search",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest)
        const sources = [{ url: "https://example.com/a", title: "A" }]
        yield* api.push(
          { actions: [{ search: { query: "Oslo", sources } }, { text: ["It ", "rains."], citations: sources }] },
          { actions: [{ text: ["Bye."] }] }
        )
        const [first = [], second = []] = yield* Effect.provide(Effect.all([run(), run("again")]), layer)
        assert.deepStrictEqual([typesOf(first), typesOf(second)], [["message", "done"], ["message", "done"]])
        const message = first.flatMap(({ event }) => event.type === "message" ? [event.message] : [])[0]
        const cited = message === undefined ? [] : citations(message)
        assert.deepStrictEqual(cited.map(({ title, url }) => ({ url, title })), sources)
      })
  }),
  contractTest({
    name: "a call whose arguments are not JSON is not executed, and the task goes on",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { cities, layer } = systemOf(underTest)
        yield* api.push(
          { actions: [{ brokenCall: { id: "call_1", name: "weather", json: "{\"city\": Oslo" } }] },
          { actions: [{ text: ["ok"] }] }
        )
        const log = yield* Effect.provide(run(), layer)
        assert.strictEqual(typesOf(log).at(-1), "done")
        assert.deepStrictEqual(cities, [])
        assert.lengthOf(yield* api.requests, 2)
      })
  }),
  contractTest({
    name: "a call that the longest answer has cut is not executed, and the task goes on",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { cities, layer } = systemOf(underTest)
        yield* api.push(
          { actions: [{ text: ["I look."] }, weather("call_1", "Os")], finish: "length" },
          { actions: [{ text: ["ok"] }] }
        )
        const log = yield* Effect.provide(run(), layer)
        assert.strictEqual(typesOf(log).at(-1), "done")
        assert.deepStrictEqual(cities, [])
      })
  }),
  contractTest({
    name: "images and texts reach the model; a file that it cannot read does not fail the task",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest)
        yield* api.otherwise(() => ({ actions: [{ text: ["ok"] }] }))
        const seen = yield* Effect.provide(
          run({
            role: "user",
            content: [
              { type: "text", text: "What is this?" },
              { type: "file", mediaType: "image/png", name: "a.png", data: png },
              { type: "file", mediaType: "text/plain", name: "b.txt", data: "aGVsbG8gdGhlcmU=" }
            ]
          }),
          layer
        )
        assert.strictEqual(typesOf(seen).at(-1), "done")
        const [first] = yield* api.requests
        assert.include(bodyOf(first), png)
        assert.include(bodyOf(first), "hello there")
        const unseen = yield* Effect.provide(
          run({
            role: "user",
            content: [
              { type: "text", text: "What is this?" },
              { type: "file", mediaType: "application/x-unknown", name: "c.bin", data: "aGVsbG8=" }
            ]
          }),
          layer
        )
        assert.strictEqual(typesOf(unseen).at(-1), "done")
      })
  }),
  contractTest({
    name: "an answer of nothing is repeated, and then fails the task",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest)
        yield* api.push({ actions: [] }, { actions: [{ text: ["ok"] }] }, { actions: [] }, { actions: [] })
        const logs = yield* Effect.provide(Effect.all([run(), run()]), layer)
        assert.deepStrictEqual(logs.map(typesOf), [
          ["retry AnswerEmpty", "message", "done"],
          ["retry AnswerEmpty", "error AnswerEmpty"]
        ])
      })
  }),
  contractTest({
    name: "an answer that the model reports as failed is repeated, and is never a success",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest, 0)
        yield* api.push({ actions: [], finish: "error" }, { actions: [{ text: ["half an"] }], finish: "error" })
        const logs = yield* Effect.provide(Effect.all([run(), run()]), layer)
        for (const log of logs) assert.match(typesOf(log).at(-1) ?? "", /^error Model/)
      })
  }),
  contractTest({
    name: "a request whose answer falls silent is aborted and repeated",
    clock: "test",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        const { layer } = systemOf(underTest)
        yield* api.push({ actions: [{ text: ["half an"] }, { hang: true }] }, { actions: [{ text: ["ok"] }] })
        const task = yield* Effect.forkChild(Effect.provide(run(), layer))
        const first = yield* api.nextRequest
        const repeated = yield* Effect.forkChild(api.nextRequest)
        while (repeated.pollUnsafe() === undefined) {
          yield* Testing.settle
          yield* TestClock.adjust("1 second")
        }
        assert.deepStrictEqual(typesOf(yield* Fiber.join(task)), ["retry ModelUnreachable", "message", "done"])
        assert.strictEqual(yield* first.end, "aborted")
      })
  })
]
