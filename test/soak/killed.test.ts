import { NodeServices } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stepsOf, survivesKills } from "../support/toolWorker.ts"

describe("an agent with tools, killed with -9 many times", () => {
  const kills = 20
  const steps = stepsOf(kills)

  it.live(
    `P8, P10: a task of ${steps} steps, killed ${kills} times: unsafe calls run at most once, finished calls exactly once`,
    () => survivesKills(kills).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
