import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("keeps what a person has begun to write, for each conversation, also when the page is loaded again", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted("Yes.\n")
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const box = page.getByLabel("Message", { exact: true })
      const asked = Promise.withResolvers<void>()
      const mayBeAsked = Promise.withResolvers<void>()
      yield* Browser.act(async () => {
        await box.fill("Half a thought")
        await page.getByRole("link", { name: "Inbox" }).click()
        await page.getByText("Nothing waits for you.").waitFor()
        await page.getByRole("link", { name: "New conversation" }).click()
        await box.waitFor()
        assert.strictEqual(await box.inputValue(), "Half a thought")
        await page.reload()
        await box.waitFor()
        assert.strictEqual(await box.inputValue(), "Half a thought")

        await page.route("**/tasks", async (route) => {
          asked.resolve()
          await mayBeAsked.promise
          await route.continue()
        }, { times: 1 })
        await box.press("Enter")
        // The conversation has no address yet.
        await asked.promise
        await box.pressSequentially("And then?")
        mayBeAsked.resolve()
        await page.waitForURL("**/c/*")
        await page.locator("[data-kind='end']").waitFor()
        assert.strictEqual(await box.inputValue(), "And then?")
        await page.getByRole("link", { name: "New conversation" }).click()
        await page.getByText("Ask, and walk away.").waitFor()
        assert.strictEqual(await box.inputValue(), "")
        await page.locator(".conversations a").click()
        await page.locator("[data-kind='end']").waitFor()
        assert.strictEqual(await box.inputValue(), "And then?")
        await box.press("Enter")
        await page.locator("[data-kind='end']").nth(1).waitFor()
        await page.reload()
        await page.locator("[data-kind='end']").nth(1).waitFor()
        assert.strictEqual(await box.inputValue(), "")
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
