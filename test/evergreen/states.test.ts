import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
import { visitSignIn, visitStates } from "./states.ts"

/** In milliseconds. No machine needs as long for the hundred pictures, however busy it is. */
const patience = 600_000

describe.skipIf(!Browser.isInstalled)("the states of evergreen's web app", () => {
  it.live("keep the rules of accessibility in light, in dark and on a phone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visitStates, [])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])), patience)

  it.live("keep them before a person has signed in", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* visitSignIn, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
