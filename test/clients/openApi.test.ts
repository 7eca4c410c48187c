/** The OpenAPI document of a real server with all faces, before two independent validators. */
import { assert, describe, it } from "@effect/vitest"
import * as A2a from "@perennial/http/faces/a2a/A2a"
import * as AgUi from "@perennial/http/faces/ag-ui/AgUi"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import { createConfig, lintFromString } from "@redocly/openapi-core"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Effect } from "effect"
import { makeCall } from "../../packages/http/test/support.ts"

const document = Effect.gen(function*() {
  const call = yield* makeCall({ server: { faces: [A2a.face, AgUi.face, AiSdk.face, OpenAi.face, LangGraph.face] } })
  const response = yield* call("/openapi.json")
  return yield* Effect.promise(() => response.text())
})

describe("the OpenAPI document", () => {
  it.effect("is valid by the JSON schema of OpenAPI 3.1", () =>
    Effect.gen(function*() {
      const source = yield* document
      const result = yield* Effect.promise(() => new Validator().validate(JSON.parse(source)))
      assert.deepStrictEqual(result, { valid: true })
    }))

  it.effect("is valid by the recommended rules of Redocly, which check the examples against their schemas", () =>
    Effect.gen(function*() {
      const source = yield* document
      const problems = yield* Effect.promise(async () =>
        lintFromString({
          source,
          absoluteRef: "openapi.json",
          config: await createConfig({ extends: ["recommended"] })
        })
      )
      assert.deepStrictEqual(
        problems.map(({ location, message, ruleId }) => `${ruleId} ${location[0]?.pointer}: ${message}`),
        []
      )
    }))
})
