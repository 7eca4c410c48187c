/**
 * A random person in the web app, for longer than the test: `node test/evergreen/explore.ts [--seed 7] [--steps 2000]`. Without
 * a seed it is drawn, and printed. The command exits with 1 if it finds something.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Random } from "effect"
import { parseArgs } from "node:util"
import { Failed } from "../worlds/failed.ts"
import { explore } from "./explorer.ts"

const { values: flags } = parseArgs({
  options: { seed: { type: "string" }, steps: { type: "string", default: "2000" } }
})

const main = Effect.gen(function*() {
  const seed = flags.seed ?? String(yield* Random.nextIntBetween(1, 1_000_000_000))
  yield* Console.log(`seed ${seed}`)
  const { conversations, findings, log } = yield* explore({ seed, steps: Number(flags.steps) })
  yield* Console.log(`${log.length} steps, ${conversations} conversations, ${findings.length} findings`)
  if (findings.length === 0) return
  yield* Console.log([...log.slice(-40), ...findings].join("\n"))
  return yield* new Failed({ message: "Something is wrong." })
})

NodeRuntime.runMain(main.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
