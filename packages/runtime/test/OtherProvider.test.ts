/** An agent with another provider than Anthropic. The loop of the agent is the same, the HTTP API is different. */
import { assert, describe, it } from "@effect/vitest"
import type { Agents } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Fiber, Layer, Logger, Redacted, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { brief } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"
import * as ChatCompletions from "./support/chatCompletions.ts"

/** An answer: a status, or the chunks of a stream. `"hang"` keeps the stream open without further chunks. */
type Answer = number | ReadonlyArray<object | "[DONE]" | "hang">

interface Asked {
  readonly model: string
  readonly messages: ReadonlyArray<{ readonly role: string; readonly [field: string]: unknown }>
  readonly temperature?: number
  readonly max_tokens?: number
  readonly tools?: ReadonlyArray<unknown>
}

const send = (response: ServerResponse, answer: Answer) => {
  if (typeof answer === "number") return response.writeHead(answer).end()
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const chunk of answer) {
    if (chunk === "hang") return undefined
    response.write(`data: ${chunk === "[DONE]" ? chunk : JSON.stringify(chunk)}\n\n`)
  }
  return response.end()
}

/** A server with the chat completions API. It gives these answers in order, and records the requests. */
const serve = Effect.fnUntraced(function*(...answers: ReadonlyArray<Answer>) {
  const asked: Array<Asked> = []
  const left = [...answers]
  const aborted = yield* Deferred.make<void>()
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Array<Buffer> = []
    response.on("close", () => {
      if (!response.writableFinished) Deferred.doneUnsafe(aborted, Effect.void)
    })
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      asked.push(JSON.parse(Buffer.concat(chunks).toString()))
      send(response, left.shift() ?? 500)
    })
  }
  const server = createServer(handle)
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  return { asked, aborted: Deferred.await(aborted), model: ChatCompletions.layer({ url, model: "other-1" }) }
})

const text = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] })
const call = (index: number, part: object) => ({
  choices: [{ delta: { tool_calls: [{ index, ...part }] }, finish_reason: null }]
})
const finish = (reason: string, cached?: number) => ({
  choices: [{ delta: {}, finish_reason: reason }],
  usage: {
    prompt_tokens: 10,
    completion_tokens: 5,
    ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } })
  }
})

const config = {
  agentId: "agent-1",
  systemPrompt: "Be brief.",
  tools: Tools,
  retry: { baseDelay: "1 millis" }
} as const

const run = Effect.gen(function*() {
  const manager = yield* TaskManager
  const { id } = yield* manager.start({ message: "hi" })
  return yield* Stream.runCollect(yield* manager.events(id))
})

const env = Layer.mergeAll(toolsLayer, FetchHttpClient.layer, Logger.layer([]))

const withAgent = <A, E, R, E2, R2>(effect: Effect.Effect<A, E, R>, agents: Layer.Layer<Agents, E2, R2>) =>
  Effect.provide(effect, TaskRuntime.layerMemory.pipe(Layer.provide(agents)))

describe("LlmAgent over another provider", () => {
  it.live("runs tools, repeats failed requests, and sums up usage", () =>
    Effect.gen(function*() {
      const server = yield* serve(
        503,
        [
          text("I "),
          text("look"),
          call(0, { id: "call_a", function: { name: "weather", arguments: "{\"ci" } }),
          call(0, { function: { arguments: "ty\":\"Oslo\"}" } }),
          finish("tool_calls"),
          "[DONE]"
        ],
        [text("half")],
        [text("It is 4."), finish("stop", 8), "[DONE]"]
      )
      const agents = LlmAgent.layer({ ...config, temperature: 0.3, maxTokens: 100, model: server.model })
      const log = yield* withAgent(run, agents)
      assert.deepStrictEqual(brief(log).filter((line) => !line.startsWith("text")), [
        "ack",
        "started",
        "retry 2 ModelOverloaded",
        "message text+tool_call",
        "tool_call weather {\"city\":\"Oslo\"}",
        "tool_result weather completed {\"degrees\":4}",
        "retry 2 ModelUnreachable",
        "message text",
        "done"
      ])
      const last = log.at(-1)?.event
      assert.deepInclude(last?.type === "done" ? last.usage : {}, {
        requests: 2,
        inputTokens: 12,
        cacheReadTokens: 8,
        outputTokens: 10
      })
      assert.deepStrictEqual(yield* Effects.all, ["weather Oslo"])
      assert.deepInclude(server.asked[0], { model: "other-1", temperature: 0.3, max_tokens: 100 })
      assert.deepStrictEqual(server.asked.at(-1)?.messages, [
        { role: "system", content: "Be brief." },
        { role: "user", content: "hi" },
        {
          role: "assistant",
          content: "I look",
          tool_calls: [{
            id: "call_a",
            type: "function",
            function: { name: "weather", arguments: "{\"city\":\"Oslo\"}" }
          }]
        },
        { role: "tool", tool_call_id: "call_a", content: "{\"degrees\":4}" }
      ])
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("P7: a cancel closes the connection of the request", () =>
    Effect.gen(function*() {
      const server = yield* serve([text("par"), text("tial"), "hang"])
      const cancelled = Effect.gen(function*() {
        const manager = yield* TaskManager
        const { id } = yield* manager.start({ message: "hi" })
        const reader = yield* (yield* manager.events(id)).pipe(
          Stream.tap(({ event }) =>
            event.type === "text" && event.content.endsWith("tial")
              ? Effect.forkChild(manager.cancel(id))
              : Effect.void
          ),
          Stream.runCollect,
          Effect.forkChild
        )
        yield* server.aborted
        return yield* Fiber.join(reader)
      })
      const log = yield* withAgent(cancelled, LlmAgent.layer({ ...config, model: server.model }))
      assert.strictEqual(log.at(-1)?.event.type, "cancelled")
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("serves as a fallback for Claude, also with tools", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push(
        {
          actions: [{ thinking: ["hm"], signature: "s" }, { text: ["I look"] }, {
            toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } }
          }]
        },
        Fake.overloaded
      )
      const server = yield* serve([text("It is 4."), finish("stop"), "[DONE]"])
      const log = yield* withAgent(
        run,
        LlmAgent.layer({
          ...config,
          model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url }),
          fallbacks: [server.model]
        })
      )
      assert.deepStrictEqual(brief(log).slice(-4), ["retry 2 ModelOverloaded", "text It is 4.", "message text", "done"])
      assert.deepStrictEqual(server.asked[0]?.messages.map(({ role }) => role), ["system", "user", "assistant", "tool"])
    }).pipe(Effect.scoped, Effect.provide([env, Fake.FakeAnthropic.layer])))

  it.live("Claude continues a task of the other provider, with its tool call ids and without its thinking", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push(Fake.overloaded, { actions: [{ text: ["It is 4."] }] })
      const weather = (id: string) => call(0, { id, function: { name: "weather", arguments: "{\"city\":\"Oslo\"}" } })
      const server = yield* serve(
        [weather("functions.weather:0"), finish("tool_calls"), "[DONE]"],
        [weather("functions_weather_0"), finish("tool_calls"), "[DONE]"],
        500
      )
      const log = yield* withAgent(
        run,
        LlmAgent.layer({
          ...config,
          retry: { times: 0 },
          thinking: { budgetTokens: 2_000 },
          model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url }),
          fallbacks: [server.model]
        })
      )
      const back = (yield* fake.requests).at(-1)?.body
      assert.strictEqual(back?.thinking?.type, "disabled")
      assert.deepStrictEqual(
        back?.messages.flatMap(({ content }) =>
          typeof content === "string" ? [] : content.flatMap((block) => block.type === "tool_use" ? [block.id] : [])
        ),
        ["functions_weather_0", "functions_weather_0_2"]
      )
      assert.deepStrictEqual(brief(log).slice(-2), ["message text", "done"])
    }).pipe(Effect.scoped, Effect.provide([env, Fake.FakeAnthropic.layer])))
})
