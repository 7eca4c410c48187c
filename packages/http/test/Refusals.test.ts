/** Requests that are refused with 401 or 403 are logged, without what is secret in them. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { layerLocal, layerTokens, makeCall, post } from "./support.ts"

/** Answers of a server, and what it logs. */
const capturing = () => {
  const lines: Array<string> = []
  const logger = Logger.layer([Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${message}`))])
  return { lines, logger }
}

it.effect("P12: 401 is one line, without the token in the query", () =>
  Effect.gen(function*() {
    const { lines, logger } = capturing()
    const call = yield* makeCall({ auth: layerTokens, guards: logger })
    assert.strictEqual((yield* call("/tasks?access_token=hunter2")).status, 401)
    assert.strictEqual(lines.length, 1)
    assert.match(lines[0] ?? "", /^Info GET \/tasks is refused: Unauthorized\./)
    assert.notInclude(lines.join(), "hunter2")
  }))

it.effect("403 is one line with the headers that were compared", () =>
  Effect.gen(function*() {
    const { lines, logger } = capturing()
    const call = yield* makeCall({ auth: layerLocal, guards: logger })
    assert.strictEqual((yield* call("/tasks", post({ message: "x" }, { origin: "https://evil.example" }))).status, 403)
    assert.strictEqual(lines.length, 1)
    assert.match(lines[0] ?? "", /^Info POST \/tasks is refused: Forbidden\. .*https:\/\/evil\.example/)
  }))

it.effect("other refusals are the client's own business", () =>
  Effect.gen(function*() {
    const { lines, logger } = capturing()
    const call = yield* makeCall({ guards: logger })
    assert.strictEqual((yield* call("/tasks/none")).status, 404)
    assert.deepStrictEqual(lines, [])
  }))
