/**
 * Runs the programs of `examples/src` like a reader of the README.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { start } from "../support/server.ts"
import { directory } from "../support/stores.ts"

/** Runs a program in an empty directory, and returns its output when it has ended. */
const output = Effect.fnUntraced(function*(
  name: string,
  { args = [], env = {} }: { readonly args?: ReadonlyArray<string>; readonly env?: Record<string, string> } = {}
) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  return yield* spawner.string(
    ChildProcess.make(process.execPath, [`${process.cwd()}/examples/src/${name}.ts`, ...args], {
      cwd: yield* directory,
      env: { PATH: "/usr/bin:/bin", ...env }
    })
  )
})

const layer = Layer.merge(NodeServices.layer, FakeAnthropic.layer)

describe("examples", () => {
  it.live("quickstart", () =>
    Effect.gen(function*() {
      const said = yield* output("quickstart")
      assert.match(said, /^1 \{\n {2}type: 'ack'/)
      assert.match(said, /\n7 \{\n {2}type: 'done'/)
    }).pipe(Effect.provide(layer)))

  it.live("customAgent", () =>
    Effect.gen(function*() {
      assert.include(yield* output("customAgent"), "second 6 done (the end)")
    }).pipe(Effect.provide(layer)))

  it.live("claude: the model calls the tool of the application", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(
        { actions: [{ toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } }] },
        { actions: [{ text: ["Take an umbrella."] }] }
      )
      const said = yield* output("claude", { env: { ANTHROPIC_API_KEY: "none", ANTHROPIC_BASE_URL: fake.url } })
      assert.include(said, "result: 'It rains in Oslo.'")
      assert.include(said, "content: 'Take an umbrella.'")
    }).pipe(Effect.provide(layer)))

  it.live("twoAgents: both agents answer in one conversation", () =>
    Effect.gen(function*() {
      const said = yield* output("twoAgents")
      assert.match(said, /^writer .*Green leaves.*\ncritic .*Short, and true/)
    }).pipe(Effect.provide(layer)))

  it.live("embedded and client: the application keeps its own paths, and the client reads events below the prefix", () =>
    Effect.gen(function*() {
      const { address } = yield* start({ module: "examples/src/embedded.ts" })
      assert.strictEqual(
        yield* Effect.promise(async () => (await fetch(`${address}/hello`)).text()),
        "Hello from the application."
      )
      const said = yield* output("client", { args: [`${address}/agents`] })
      assert.match(said, /^1 \{\n {2}type: 'ack'/)
      assert.match(said, /content: 'the agent.'[^]*type: 'done'/)
    }).pipe(Effect.provide(layer)))
})

withPostgres("the example of a transaction", (url) => {
  it.live("transaction: the task and the order are stored together, or neither of them", () =>
    Effect.gen(function*() {
      const database = yield* makeDatabase(url)
      const said = yield* output("transaction", { env: { DATABASE_URL: database.url } })
      const [rolledBack, committed, confirmed] = said.split("\n")
      assert.deepStrictEqual([rolledBack, committed], ["orders: 0, tasks: 0", "orders: 1, tasks: 1"])
      assert.include(confirmed, "Your order is confirmed.")
    }).pipe(Effect.provide(layer)))
})
