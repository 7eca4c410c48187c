/** A middleware of a group of the API applies to each endpoint of the group. A middleware of an endpoint applies only to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Authorization from "@perennial/http/Authorization"
import { Cause, Effect, Exit, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { vi } from "vitest"
import { Api } from "../src/Api.ts"
import { checkPolicies } from "../src/internal/policies.ts"
import { layerGuards } from "./guards.ts"
import { discard, makeCall, problem } from "./support.ts"

// Replaces the API by one with the middleware of `guards.ts`.
vi.mock("../src/Api.ts", async (original) => {
  const actual = await original<{ readonly Api: typeof Api }>()
  const { guard } = await import("./guards.ts")
  return { ...actual, Api: guard(actual.Api) }
})

const endpoints = Object.values(Api.groups).flatMap((group) =>
  Object.values(group.endpoints).map(({ identifier, method, path }) => ({
    name: `${group.identifier}.${identifier}`,
    method,
    path: path.replaceAll(/:\w+/g, "x")
  }))
)

/** The names of the endpoints that deny a request. */
const denying = Effect.fnUntraced(function*(armed: "groups" | "endpoint") {
  const call = yield* makeCall({ guards: layerGuards(armed) })
  const names: Array<string> = []
  for (const { method, name, path } of endpoints) {
    const response = yield* call(path, { method })
    if (response.status === 429) {
      assert.strictEqual((yield* problem(response)).type, "urn:test:denied")
      names.push(name)
    } else yield* discard(response)
  }
  return names
})

describe("a middleware of the API", () => {
  it.effect("P12: applies to every endpoint if it is added to every group", () =>
    Effect.gen(function*() {
      assert.isAtLeast(endpoints.length, 14)
      assert.deepStrictEqual(yield* denying("groups"), endpoints.map(({ name }) => name))
    }))

  it.effect("P12: applies only to its endpoint if it is added to one endpoint", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* denying("endpoint"), ["tasks.get"])
    }))
})

describe("an endpoint without a policy", () => {
  it.effect("P12: stops the start, unless it is marked as public", () =>
    Effect.gen(function*() {
      const withEndpoint = (isPublic: boolean) =>
        HttpApi.make("test").add(
          HttpApiGroup.make("group").add(
            HttpApiEndpoint.get("open", "/open", { success: Schema.String }).annotate(Authorization.Public, isPublic)
          )
        )
      const exit = yield* Effect.exit(checkPolicies(Object.values(withEndpoint(false).groups)))
      assert(Exit.isFailure(exit))
      assert.include(Cause.pretty(exit.cause), "GET /open has no policy")
      yield* checkPolicies(Object.values(withEndpoint(true).groups))
      yield* checkPolicies(Object.values(Api.groups))
    }))
})
