/** `PERENNIAL_MODEL`: the complete server with models of several providers, over fakes of their APIs. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { Effect } from "effect"
import { refused } from "../evergreen/server.ts"
import { chatAt } from "../support/chat.ts"
import * as Server from "../support/server.ts"

const startFake = Server.start({ module: "test/support/fakeOpenAiServer.ts", env: { FAKE_OPENAI_PORT: "0" } })

const chatWith = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
  const { address } = yield* Server.start({ env: { PERENNIAL_STORE: "memory", ...env } })
  return chatAt(address)
})

describe("the server with a model of another provider", () => {
  it.live("OpenAI and Ollama: answers a conversation with tools, and fails on request", () =>
    Effect.gen(function*() {
      const { address: fake } = yield* startFake
      const models = [
        { PERENNIAL_MODEL: "openai:gpt-fake", OPENAI_BASE_URL: `${fake}/v1`, OPENAI_API_KEY: "fake" },
        { PERENNIAL_MODEL: "ollama:fake", OLLAMA_BASE_URL: `${fake}/v1`, OLLAMA_API_KEY: "fake" }
      ]
      for (const env of models) {
        const chat = yield* chatWith(env)
        const hello = yield* chat("Hello")
        assert.deepStrictEqual([hello.tools, hello.end?.type], [["current_time completed"], "done"])
        assert.match(hello.text, /The tool said: \S*\d{4}-/)
        const repeated = yield* chat(`[overloaded] And now, ${env.PERENNIAL_MODEL}?`)
        assert.deepStrictEqual([repeated.retries, repeated.end?.type], [["ModelOverloaded"], "done"])
        const refusal = yield* chat("[refusal]")
        assert.deepInclude(refusal.end, { type: "error", error: "ModelRefused" })
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("Gemini answers if the model of OpenAI does not exist", () =>
    Effect.gen(function*() {
      const { address: fake } = yield* startFake
      const gemini = yield* FakeGemini
      yield* gemini.otherwise(() => ({ actions: [{ text: ["Hello from ", "Gemini"] }] }))
      const chat = yield* chatWith({
        PERENNIAL_MODEL: "openai:unknown-1",
        PERENNIAL_FALLBACK_MODELS: "google:gemini-3-pro",
        OPENAI_BASE_URL: `${fake}/v1`,
        OPENAI_API_KEY: "fake",
        GOOGLE_GENERATIVE_AI_BASE_URL: `${gemini.url}/v1beta`,
        GOOGLE_GENERATIVE_AI_API_KEY: "fake"
      })
      const hello = yield* chat("Hello")
      assert.deepStrictEqual([hello.retries, hello.text, hello.end?.type], [
        ["ModelNotFound"],
        "Hello from Gemini",
        "done"
      ])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeGemini.layer])))

  it.live("a package that is not installed, and a key that is not set, stop the start with one line", () =>
    Effect.gen(function*() {
      // As if the package were not there.
      const hook = "import { registerHooks } from 'node:module'; registerHooks({ resolve: (name, context, next) => {"
        + "if (name === '@ai-sdk/openai') throw Object.assign(new Error(name), { code: 'ERR_MODULE_NOT_FOUND' });"
        + "return next(name, context) } })"
      const missing = yield* refused({
        PERENNIAL_MODEL: "openai:gpt-5.5",
        OPENAI_API_KEY: "fake",
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`
      })
      assert.deepStrictEqual(missing.lines, [
        "PERENNIAL_MODEL=openai:gpt-5.5 needs the package @ai-sdk/openai: pnpm add @ai-sdk/openai"
      ])
      const { lines } = yield* refused({ PERENNIAL_MODEL: "google:gemini-3-pro" })
      assert.deepStrictEqual(lines, ["PERENNIAL_MODEL=google:gemini-3-pro needs GOOGLE_GENERATIVE_AI_API_KEY."])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
