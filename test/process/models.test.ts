/** `PERENNIAL_MODEL`: the complete server with models of several providers, over fakes of their APIs. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { Effect } from "effect"
import { refused } from "../evergreen/server.ts"
import { chatAt } from "../support/chat.ts"
import { begin, perennial } from "../support/perennial.ts"
import * as Server from "../support/server.ts"

const startFake = Server.start({ module: "test/support/fakeOpenAiServer.ts", env: { FAKE_OPENAI_PORT: "0" } })

const chatWith = Effect.fnUntraced(function*(env: Readonly<Record<string, string>>) {
  const { address } = yield* Server.start({ env: { PERENNIAL_STORE: "memory", ...env } })
  return chatAt(address)
})

/** Options of Node.js by which a package is as if it were not there. */
const without = (name: string) => {
  const hook = "import { registerHooks } from 'node:module'; registerHooks({ resolve: (name, context, next) => {"
    + `if (name === '${name}') throw Object.assign(new Error(name), { code: 'ERR_MODULE_NOT_FOUND' });`
    + "return next(name, context) } })"
  return `--import=data:text/javascript,${encodeURIComponent(hook)}`
}

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

  it.live("perennial serve has the model of PERENNIAL_MODEL, and says in one line what to install", () =>
    Effect.gen(function*() {
      const { address: fake } = yield* startFake
      const env = { PERENNIAL_MODEL: "openai:gpt-fake", OPENAI_BASE_URL: `${fake}/v1`, OPENAI_API_KEY: "fake" }
      const args = ["serve", "--port", "0", "--store", "memory"]
      const serving = yield* begin(args, { env })
      yield* serving.until("out", "documentation on")
      const { out } = yield* serving.printed
      const chat = chatAt(/http:\/\/[\w.]+:\d+/.exec(out)?.[0] ?? "")
      const hello = yield* chat("Hello")
      assert.deepStrictEqual([hello.text, hello.end?.type], [
        "I am a fake model. You said \"Hello\". This is turn 1.",
        "done"
      ])
      const missing = yield* perennial(args, { env: { ...env, NODE_OPTIONS: without("@ai-sdk/openai") } })
      assert.strictEqual(
        missing.err.trim(),
        "perennial: PERENNIAL_MODEL=openai:gpt-fake needs the package @ai-sdk/openai: pnpm add @ai-sdk/openai"
      )
      const keyless = yield* perennial(args, { env: { PERENNIAL_MODEL: "google:gemini-3-pro" } })
      assert.include(keyless.err, "PERENNIAL_MODEL=google:gemini-3-pro needs GOOGLE_GENERATIVE_AI_API_KEY.")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a package that is not installed, and a key that is not set, stop the start with one line", () =>
    Effect.gen(function*() {
      const missing = yield* refused({
        PERENNIAL_MODEL: "openai:gpt-5.5",
        OPENAI_API_KEY: "fake",
        NODE_OPTIONS: without("@ai-sdk/openai")
      })
      assert.deepStrictEqual(missing.lines, [
        "PERENNIAL_MODEL=openai:gpt-5.5 needs the package @ai-sdk/openai: pnpm add @ai-sdk/openai"
      ])
      const { lines } = yield* refused({ PERENNIAL_MODEL: "google:gemini-3-pro" })
      assert.deepStrictEqual(lines, ["PERENNIAL_MODEL=google:gemini-3-pro needs GOOGLE_GENERATIVE_AI_API_KEY."])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
