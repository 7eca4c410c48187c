import { assert, describe, it } from "@effect/vitest"
import { Authorization } from "@perennial/http/Authorization"
import { Effect, Layer, Logger } from "effect"
import { makeCall, post, problem } from "./support.ts"

describe("routes", () => {
  it.effect("the content type of a JSON body may have capitals and parameters, or may be absent", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const start = (contentType: string) => call("/tasks", post({ message: "a" }, { "content-type": contentType }))
      assert.strictEqual((yield* start("Application/JSON ; charset=utf-8")).status, 201)
      assert.strictEqual((yield* start("application/json-patch+json")).status, 415)
      const bytes = new TextEncoder().encode("{\"message\":\"a\"}")
      assert.strictEqual((yield* call("/tasks", { method: "POST", body: bytes })).status, 201)
    }))

  it.effect("P12: the cause of a bug goes only to the logger of the routes", () =>
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
