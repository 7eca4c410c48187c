import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
import { scripted, started } from "./server.ts"

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("signs in with a token, says who one is, and signs out: the next person finds no draft", () =>
    Effect.gen(function*() {
      const { address } = yield* started({ PERENNIAL_TOKENS: "alice:a-secret-of-alice" })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.act(async () => {
        await page.getByLabel("Token").fill("another-secret")
        await page.keyboard.press("Enter")
        await page.getByText("The server does not know this token.").waitFor()
        await page.getByLabel("Token").fill("a-secret-of-alice")
        await page.keyboard.press("Enter")
        await page.getByText("Ask, and walk away.").waitFor()
        await page.getByLabel("Message", { exact: true }).fill("A secret of Alice")
        await page.goto(`${address}/settings`)
        await page.locator("b", { hasText: "alice" }).waitFor()
        assert.strictEqual(await page.evaluate("document.cookie"), "")
        await page.getByRole("button", { name: "Sign out" }).click()
        await page.getByLabel("Token").fill("a-secret-of-alice")
        await page.keyboard.press("Enter")
        await page.locator("b", { hasText: "alice" }).waitFor()
        await page.goto(address)
        await page.getByText("Ask, and walk away.").waitFor()
        assert.strictEqual(await page.getByLabel("Message", { exact: true }).inputValue(), "")
      })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("shows the earlier version of a message, renames a conversation, and deletes it", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted("The answer.\n")
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const messages = page.locator(".messages")
      yield* Browser.ask(page, "Which one?")
      yield* Browser.act(async () => {
        await messages.getByText("The answer.").waitFor()
        await page.getByRole("button", { name: "Edit and send again" }).click()
        await page.getByLabel("Message", { exact: true }).fill("Which other?")
        await page.keyboard.press("Enter")
        await messages.getByText("2/2").waitFor()
        await messages.getByText("Which one?").waitFor({ state: "detached" })
        await page.getByRole("button", { name: "Earlier version" }).click()
        await messages.getByText("Which one?").waitFor()
        await messages.getByText("Which other?").waitFor({ state: "detached" })
        await page.getByRole("button", { name: "Back to the newest" }).click()
        await messages.getByText("Which other?").waitFor()

        await page.getByRole("button", { name: "Rename or delete" }).click()
        await page.getByLabel("Title").fill("Two answers")
        await page.getByRole("button", { name: "Rename", exact: true }).click()
        await page.getByRole("link", { name: "Two answers" }).waitFor()
        await page.getByRole("button", { name: "Rename or delete" }).click()
        await page.getByRole("button", { name: "Delete", exact: true }).click()
        await page.getByRole("button", { name: "Delete for good" }).click()
        await page.getByText("Ask, and walk away.").waitFor()
        await page.getByRole("link", { name: "Two answers" }).waitFor({ state: "detached" })
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
