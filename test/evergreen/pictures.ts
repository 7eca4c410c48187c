/**
 * Makes the pictures of the web app for README and docs, from the server with the demo model: `pnpm pictures`.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const folder = "docs/pictures"

const picture = (page: Page, name: string) =>
  Browser.act(() => page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled" }))

const ask = (page: Page, text: string) =>
  Browser.act(async () => {
    await page.getByLabel("Message", { exact: true }).fill(text)
    await page.keyboard.press("Enter")
  })

const main = Effect.gen(function*() {
  const { address } = yield* started({})
  const browser = yield* Browser.launch
  const me = yield* Browser.visitor(browser, { viewport: { width: 1200, height: 760 } })

  const page = yield* me.open(address)
  yield* ask(page, "Show me a table, a list and some code.")
  yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
  yield* picture(page, "chat")

  const other = yield* me.open(address)
  yield* ask(other, "Announce the release to everybody.")
  yield* Browser.act(() => other.locator(".approval").waitFor())
  yield* Browser.act(async () => {
    await other.goto(`${address}/inbox`)
    await other.locator(".decide").waitFor()
  })
  yield* picture(other, "inbox")
  yield* Browser.act(async () => {
    // Another page would cut off the request.
    const decided = other.waitForResponse((response) => response.url().includes("/decisions/"))
    await other.keyboard.press("a")
    await decided
    await other.goto(`${address}/t`)
    await other.locator("tbody tr").filter({ hasText: "Announce" }).filter({ hasText: "completed" }).waitFor()
    await other.locator("tbody tr a").first().click()
    await other.locator(".waterfall tbody tr").nth(4).waitFor()
  })
  yield* picture(other, "task")
})

NodeRuntime.runMain(main.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
