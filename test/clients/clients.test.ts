/** The clients of docs/clients.md, against a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { makeCuttingProxy } from "../../packages/http/test/cuttingProxy.ts"
import { prepare, programs } from "./programs.ts"

const isInstalled = (program: string): boolean => {
  if (spawnSync(program, ["--version"]).status === 0) return true
  process.stderr.write(`Skipped: ${program}. It is not installed; \`apt-get install ${program}\` installs it.\n`)
  return false
}

describe("a generated client passes TypeScript and runs", () => {
  it.live("openapi-typescript with openapi-fetch", () =>
    Effect.gen(function*() {
      const { check, execute } = yield* prepare
      yield* execute("sh", ["openapi-typescript.sh"])
      yield* check("openapi-fetch.ts")
      assert.deepStrictEqual((yield* execute(process.execPath, ["openapi-fetch.ts"])).trim().split("\n"), [
        "Hello",
        "events 5 true",
        "completed [ true ]",
        "after cancel completed",
        "no task unknown"
      ])
    }))

  it.live("Hey API", () =>
    Effect.gen(function*() {
      const { check, execute } = yield* prepare
      yield* execute("sh", ["hey-api.sh"])
      yield* check("hey-api.ts")
      assert.deepStrictEqual((yield* execute(process.execPath, ["hey-api.ts"])).trim().split("\n"), [
        "Hello",
        "completed [ true ]",
        "after cancel completed",
        "no task unknown"
      ])
    }))
})

it.live.skipIf(!isInstalled("curl"))(
  "curl starts a task, reads its events, lists and cancels",
  () =>
    Effect.gen(function*() {
      const { execute } = yield* prepare
      const output = yield* execute("sh", ["curl.sh"])
      const ids = [...output.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
      assert.deepStrictEqual(ids, [1, 2, 3, 4, 5, 4, 5])
      assert.strictEqual(output.match(/"status":"completed"/g)?.length, 3)
    })
)

describe.skipIf(!isInstalled("python3"))("the Python program", () => {
  it("has at most 60 lines", () => {
    assert.isAtMost(programs.get("perennial.py")?.trimEnd().split("\n").length ?? Number.NaN, 60)
  })

  it.live("P3: prints every event once and in order, also when the connection is cut in the middle of events", () =>
    Effect.gen(function*() {
      const { execute, port } = yield* prepare
      // Two bytes a character: some cuts are inside of a character.
      const words = Array.from({ length: 400 }, (_, i) => `«${i}»`)
      // The first connection is that of the start. A connection is cut later than the one before.
      const cuts = 6
      const proxy = yield* makeCuttingProxy(
        port,
        (connection) => connection === 0 || connection > cuts ? Number.POSITIVE_INFINITY : 3_001 + 997 * connection
      )
      const output = yield* execute("python3", ["perennial.py", ...words], `http://127.0.0.1:${proxy.port}`)
      assert.strictEqual(output, words.join(""))
      assert.strictEqual(proxy.connections(), cuts + 2)
    }))
})
