/**
 * Requests of an attacker with the ids, cursors, keys and tickets of another user, against every endpoint of the OpenAPI document.
 *
 *     pnpm test:fuzz [--seed 7] [--count 100000] [--store memory|sqlite]
 *
 * Without a seed it is drawn, and printed. The command exits with 1 if an answer has a byte of the other user, if an answer is
 * 5xx for another reason than a limit, if the data of the other user have changed, or if the heap has grown by more than 64 MiB.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Random } from "effect"
import { parseArgs } from "node:util"
import { Failed } from "../worlds/failed.ts"
import { fuzz } from "./fuzz.ts"

const { values: flags } = parseArgs({
  options: {
    seed: { type: "string" },
    count: { type: "string", default: "100000" },
    store: { type: "string", default: "memory" }
  }
})

/** How much the heap may grow over nine tenths of the requests, in MiB. */
const maxGrowth = 64

const whole = (flag: string, text: string) => {
  const value = Number(text)
  return Number.isSafeInteger(value) && value >= 1
    ? Effect.succeed(value)
    : Effect.fail(new Failed({ message: `--${flag} ${text} is not valid. Accepted: a whole number from 1.` }))
}

const main = Effect.gen(function*() {
  const { store } = flags
  if (store !== "memory" && store !== "sqlite") {
    return yield* new Failed({ message: `--store ${store} is not valid. Accepted: memory or sqlite.` })
  }
  const seed = yield* whole("seed", flags.seed ?? String(yield* Random.nextIntBetween(1, 1_000_000_000)))
  const count = yield* whole("count", flags.count)
  yield* Console.log(`seed ${seed}`)
  const from = performance.now()
  const { findings, heap: [before, after], intact, statuses } = yield* fuzz({ store, seed, count })
  const growth = (after - before) / 1024 ** 2
  for (const { answer, sent, what } of findings) {
    yield* Console.log(`${what}\n  ${JSON.stringify(sent)}\n  ${answer.status} ${answer.text.slice(0, 500)}`)
  }
  const table = [...statuses].toSorted(([a], [b]) => a - b).map(([status, n]) => `${status}: ${n}`).join(", ")
  yield* Console.log(
    `${count} requests on ${store} with seed ${seed} in ${
      Math.round((performance.now() - from) / 1_000)
    } s; ${table}; ` +
      `${findings.length} findings; the heap has grown from ${(before / 1024 ** 2).toFixed(0)} MiB by ${
        growth.toFixed(1)
      } MiB`
  )
  if (!intact) return yield* new Failed({ message: "The data of the other user have changed." })
  if (growth > maxGrowth) return yield* new Failed({ message: `The heap has grown by more than ${maxGrowth} MiB.` })
  if (findings.length > 0) return yield* new Failed({ message: "A promise was broken." })
})

NodeRuntime.runMain(main)
