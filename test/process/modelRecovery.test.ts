/** P8, P10: tasks of models of other providers, whose server is killed in each of their requests, and in the tools of each step. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import type { Answer, FakeApi } from "@perennial/runtime/FakeReply"
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

const step = (n: number): Answer => ({
  actions: [
    { reasoning: [`Thought ${n}.`], state: `state-${n}` },
    { call: { id: `call_${n}`, name: "current_time", args: {} } }
  ]
})
const last: Answer = { actions: [{ reasoning: ["Thought 3."], state: "state-3" }, { text: ["It is late."] }] }
const silence: Answer = { actions: [{ text: ["Hm "] }, { hang: true }] }

const providers = {
  openai: {
    api: FakeOpenAi,
    env: (url: string) => ({
      PERENNIAL_MODEL: "openai:gpt-5.5",
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: "fake"
    })
  },
  google: {
    api: FakeGemini,
    env: (url: string) => ({
      PERENNIAL_MODEL: "google:gemini-3-pro",
      GOOGLE_GENERATIVE_AI_BASE_URL: `${url}/v1beta`,
      GOOGLE_GENERATIVE_AI_API_KEY: "fake"
    })
  }
}

const killedInEachRequest = Effect.fnUntraced(function*(
  api: Pick<FakeApi, "push" | "requests" | "url">,
  env: Readonly<Record<string, string>>
) {
  const settings = { ...env, PERENNIAL_STORE: `sqlite:${join(yield* directory, "test.db")}` }
  yield* api.push(silence, step(1), silence, step(2), silence, last, { actions: [{ text: ["Bye."] }] })
  let server = yield* Server.start({ env: settings })
  const { address, port } = server
  const id = yield* Rest.start(address, { message: "How late is it?", conversationId: "c1" })
  const url = `${address}/tasks/${id}/events`
  let after: number | undefined
  for (let kills = 0; kills < 3; kills++) {
    after = yield* Effect.scoped(Effect.gen(function*() {
      const reader = yield* Sse.connect(url, { after })
      const read = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
      yield* server.kill
      const { events } = yield* Sse.readAll(reader)
      return (events.at(-1) ?? read.at(-1))?.id
    }))
    server = yield* Server.start({ env: settings, port })
  }
  yield* Sse.read(url)
  const { events } = yield* Sse.read(url)
  Sse.assertExact(events)
  const typesOf = (type: string) => events.filter(({ data }) => data.type === type)
  assert.strictEqual(events.at(-1)?.data.type, "done")
  assert.deepStrictEqual(typesOf("resumed").length, 3)
  assert.deepStrictEqual(typesOf("retry"), [], "the API has accepted every request")
  assert.deepStrictEqual(typesOf("tool_result").map(({ data }) => data["status"]), ["completed", "completed"])
  const next = yield* Rest.start(address, { message: "And now?", conversationId: "c1" })
  const { events: again } = yield* Sse.read(`${address}/tasks/${next}/events`)
  assert.strictEqual(again.at(-1)?.data.type, "done")
  assert.deepStrictEqual(again.filter(({ data }) => data.type === "retry"), [])
  const requests = yield* api.requests
  assert.lengthOf(requests, 7, "finished answers were not requested again")
  const body = JSON.stringify(requests.at(-1)?.body)
  for (const state of ["state-1", "state-2", "state-3"]) assert.include(body, state)
})

const stepWithTools = (n: number): Answer => ({
  actions: [
    { reasoning: [`Thought ${n}.`], state: `state-${n}` },
    { call: { id: `note_${n}`, name: "note", args: { n }, state: `state-${n}` } },
    { call: { id: `hold_${n}`, name: "hold", args: { n } } }
  ]
})

type Data = Sse.Seen["data"]

const isNoted = (data: Data, n: number) => data.type === "tool_result" && data["result"] === `noted ${n}`
const holdsIn = (data: Data, n: number) => data.type === "tool_progress" && data["data"] === `holding ${n}`

/** Kills the server in each step, while one tool of the step has finished, and another one runs. */
const killedInEachStep = Effect.fnUntraced(function*(
  api: Pick<FakeApi, "push" | "requests" | "url">,
  model: Readonly<Record<string, string>>
) {
  const path = yield* directory
  const runs = join(path, "runs")
  const env = { ...model, FILE: join(path, "test.db"), RUNS: runs }
  const start = Server.start({ module: "test/support/providerWorker.ts", env })
  yield* api.push(stepWithTools(1), stepWithTools(2), stepWithTools(3), last, { actions: [{ text: ["Bye."] }] })
  let server = yield* start
  const id = yield* Rest.start(server.address, { message: "Work.", conversationId: "c1" })
  const events = (of: string) => `${server.address}/tasks/${of}/events`
  for (let n = 1; n <= 3; n++) {
    yield* Effect.scoped(Effect.gen(function*() {
      const reader = yield* Sse.connect(events(id))
      const seen = yield* Sse.readUntil(reader, ({ data }) => holdsIn(data, n))
      if (seen.every(({ data }) => !isNoted(data, n))) yield* Sse.readUntil(reader, ({ data }) => isNoted(data, n))
      yield* server.kill
    }))
    server = yield* start
  }
  const { events: log } = yield* Sse.read(events(id))
  Sse.assertExact(log)
  const typesOf = (type: string) => log.filter(({ data }) => data.type === type)
  assert.strictEqual(log.at(-1)?.data.type, "done")
  assert.lengthOf(typesOf("resumed"), 3)
  assert.deepStrictEqual(typesOf("retry"), [], "the API has accepted every request")
  assert.deepStrictEqual(
    typesOf("tool_result").map(({ data }) => data["result"]),
    [1, 2, 3].flatMap((n) => [`noted ${n}`, `held ${n}`])
  )
  assert.strictEqual(readFileSync(runs, "utf8"), "note 1\nnote 2\nnote 3\n", "finished tools ran once")
  const next = yield* Rest.start(server.address, { message: "And now?", conversationId: "c1" })
  const { events: again } = yield* Sse.read(events(next))
  assert.strictEqual(again.at(-1)?.data.type, "done")
  assert.deepStrictEqual(again.filter(({ data }) => data.type === "retry"), [])
  const requests = yield* api.requests
  assert.lengthOf(requests, 5, "answers were not requested again")
  const body = JSON.stringify(requests.at(-1)?.body)
  for (const state of ["state-1", "state-2", "state-3"]) assert.include(body, state)
})

describe("kill -9 in the tools of each of three steps, and restart on the same database", () => {
  it.live("OpenAI: finished tools are not repeated, and the API accepts the reasoning of every step afterwards", () =>
    Effect.flatMap(FakeOpenAi, (api) => killedInEachStep(api, providers.openai.env(api.url))).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(FakeOpenAi.layer, NodeServices.layer))
    ))

  it.live("Gemini: finished tools are not repeated, and the API accepts the signatures of every step afterwards", () =>
    Effect.flatMap(FakeGemini, (api) => killedInEachStep(api, providers.google.env(api.url))).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(FakeGemini.layer, NodeServices.layer))
    ))
})

describe("kill -9 in each of three requests, and restart on the same database", () => {
  it.live("OpenAI: the encrypted reasoning of every step comes back, and no tool runs twice", () =>
    Effect.flatMap(providers.openai.api, (api) => killedInEachRequest(api, providers.openai.env(api.url))).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(FakeOpenAi.layer, NodeServices.layer))
    ))

  it.live("Gemini: the signatures of every step come back, and no tool runs twice", () =>
    Effect.flatMap(providers.google.api, (api) => killedInEachRequest(api, providers.google.env(api.url))).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(FakeGemini.layer, NodeServices.layer))
    ))
})
