import { assert, describe, it } from "@effect/vitest"
import { Authorization } from "@perennial/http/Authorization"
import { Effect, Layer, Logger } from "effect"
import { makeCall, post, problem } from "./support.ts"

describe("routes", () => {
  it.effect("a body of JSON may say so in capitals and with parameters, or not at all", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const start = (contentType: string) => call("/tasks", post({ message: "a" }, { "content-type": contentType }))
      assert.strictEqual((yield* start("Application/JSON ; charset=utf-8")).status, 201)
      assert.strictEqual((yield* start("application/json-patch+json")).status, 415)
      const bytes = new TextEncoder().encode("{\"message\":\"a\"}")
      assert.strictEqual((yield* call("/tasks", { method: "POST", body: bytes })).status, 201)
    }))

  it.effect("P12: a bug is told to the logger that was provided to the routes, and to nobody else", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        logged.push(message)
      })
      const fail = () => Effect.die(new Error("secret"))
      const broken = Layer.succeed(Authorization, { bearer: fail, query: fail, cookie: fail })
      const call = yield* makeCall({ auth: Layer.merge(broken, Logger.layer([logger])) })
      const answer = yield* problem(yield* call("/tasks/t1"))
      assert.deepStrictEqual([answer.status, answer.type], [500, "urn:perennial:problem:internal-error"])
      assert.notInclude(JSON.stringify(answer), "secret")
      assert.lengthOf(logged, 1)
    }))
})
