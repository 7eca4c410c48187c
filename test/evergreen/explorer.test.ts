import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
import { explore } from "./explorer.ts"

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("shows each conversation as it is stored, whatever a person clicks and whenever the server is killed", () =>
    Effect.gen(function*() {
      const { conversations, findings, log } = yield* explore({ seed: "evergreen", steps: 35 })
      assert.deepStrictEqual(findings, [], log.join("\n"))
      assert.isAbove(conversations, 0)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
