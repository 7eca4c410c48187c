import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Browser from "./browser.ts"
import { fill, open, scrollUp } from "./longConversation.ts"
import { started } from "./server.ts"

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("P11: a person scrolls through a long conversation, and the document stays small", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const filename = `${yield* files.makeTempDirectoryScoped()}/perennial.db`
      yield* fill(filename, 400)
      const { address } = yield* started({ PERENNIAL_STORE: `sqlite:${filename}` })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* open(page)
      const messages = page.locator(".messages")
      assert.isAbove(yield* Browser.act(() => messages.getByText("Question 199?").count()), 0)
      assert.isBelow(yield* scrollUp(page), 300)
      yield* Browser.act(() => page.getByRole("button", { name: "Newest" }).click())
      yield* Browser.act(() => messages.getByText("Question 199?").waitFor())
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
