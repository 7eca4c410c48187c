/** The recipes of docs/models.md, run as they are written: the program of each provider, against a fake of its API. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import { Effect, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { environment } from "../support/server.ts"

const root = join(import.meta.dirname, "../..")
const page = readFileSync(join(root, "docs/models.md"), "utf8")

/** The program of the page that has this text. */
const recipe = (text: string): string => {
  const programs = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code)
  const found = programs.filter((code) => code.includes(text))
  assert.lengthOf(found, 1, `one program of docs/models.md has ${text}`)
  return found[0] ?? ""
}

/** Asks the model of a recipe, and prints its answer. */
const ask = (model: string): string => `
import { text } from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger } from "effect"

const answer = Effect.gen(function*() {
  const manager = yield* TaskManager
  const { id } = yield* manager.start({ message: "Hello" })
  const { message, task } = yield* manager.await(id)
  return message === undefined ? JSON.stringify(task.error) : text(message)
})
const agents = LlmAgent.layer({ agentId: "a", systemPrompt: "", model: ${model} })
const layer = TaskRuntime.layerMemory.pipe(Layer.provide([agents, Logger.layer([])]))
console.log(await Effect.runPromise(Effect.provide(answer, layer)))
`

/** Runs a recipe where the packages of providers are installed. `replaced` are the addresses of the page. */
const run = Effect.fnUntraced(function*(options: {
  readonly code: string
  readonly model: string
  readonly env: Readonly<Record<string, string>>
  readonly replaced?: readonly [string, string]
}) {
  const [from = "", to = ""] = options.replaced ?? []
  const code = from === "" ? options.code : options.code.replace(from, to)
  if (from !== "") assert.notStrictEqual(code, options.code, `the recipe has ${from}`)
  const handle = yield* ChildProcess.make(
    process.execPath,
    ["--input-type=module", "-e", `${code}${ask(options.model)}`],
    { cwd: join(root, "packages/runtime"), env: { ...environment, ...options.env } }
  )
  return (yield* Stream.mkString(Stream.decodeText(handle.all))).trim()
})

const hello = { actions: [{ text: ["Hello ", "there."] }] }

describe("docs/models.md", () => {
  it.live("OpenAI", () =>
    Effect.gen(function*() {
      const api = yield* FakeOpenAi
      yield* api.push(hello)
      const env = { OPENAI_API_KEY: "k", OPENAI_BASE_URL: `${api.url}/v1` }
      assert.strictEqual(
        yield* run({ code: recipe("openai(\"gpt-5.5\"), { contextTokens"), model: "model", env }),
        "Hello there."
      )
      const [request] = yield* api.requests
      assert.deepInclude(request?.body, {
        model: "gpt-5.5",
        store: false,
        reasoning: { effort: "medium", summary: "detailed" }
      })
    }).pipe(Effect.scoped, Effect.provide([FakeOpenAi.layer, NodeServices.layer])))

  it.live("Gemini", () =>
    Effect.gen(function*() {
      const api = yield* FakeGemini
      yield* api.push(hello)
      const said = yield* run({
        code: recipe("createGoogle"),
        model: "model",
        env: { GOOGLE_GENERATIVE_AI_API_KEY: "k" },
        replaced: ["createGoogle({", `createGoogle({ baseURL: "${api.url}/v1beta",`]
      })
      assert.strictEqual(said, "Hello there.")
    }).pipe(Effect.scoped, Effect.provide([FakeGemini.layer, NodeServices.layer])))

  it.live("Ollama", () =>
    Effect.gen(function*() {
      const api = yield* FakeOpenAi
      yield* api.push(hello)
      const said = yield* run({
        code: recipe("createOpenAICompatible"),
        model: "model",
        // The fake wants a key, as some servers do.
        env: {},
        replaced: ["\"http://127.0.0.1:11434/v1\"", `"${api.url}/v1", apiKey: "k"`]
      })
      assert.strictEqual(said, "Hello there.")
    }).pipe(Effect.scoped, Effect.provide([FakeOpenAi.layer, NodeServices.layer])))

  it.live("Claude and OpenAI with tools that they execute", () =>
    Effect.gen(function*() {
      const openai = yield* FakeOpenAi
      const claude = yield* FakeAnthropic
      yield* openai.push(hello)
      yield* claude.push(hello)
      const code = recipe("serverTools: [")
      const env = {
        OPENAI_API_KEY: "k",
        OPENAI_BASE_URL: `${openai.url}/v1`,
        ANTHROPIC_API_KEY: "k",
        ANTHROPIC_BASE_URL: claude.url
      }
      const said = yield* Effect.forEach(["claude", "gpt"], (model) => run({ code, model, env }), { concurrency: 2 })
      assert.deepStrictEqual(said, ["Hello there.", "Hello there."])
      assert.deepInclude((yield* openai.requests)[0]?.body["tools"], { type: "web_search" })
      assert.deepInclude((yield* claude.requests)[0]?.body.tools?.[0], { type: "web_search_20250305" })
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(FakeOpenAi.layer, FakeAnthropic.layer, NodeServices.layer))
    ))
})
