/** P8, P10: tasks of models of other providers, whose server is killed in each of their requests. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import type { Answer, FakeApi } from "@perennial/runtime/FakeReply"
import { Effect, Layer } from "effect"
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
