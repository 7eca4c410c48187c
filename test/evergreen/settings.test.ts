import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const choose = (page: Page, group: string, choice: string) =>
  page.getByRole("group", { name: group }).getByLabel(choice, { exact: true }).click()

const rowHeight = async (page: Page): Promise<number> =>
  (await page.getByRole("link", { name: "Inbox" }).boundingBox())?.height ?? 0

const backgroundOf = (page: Page): Promise<string> =>
  page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

/** How long a button takes to change its colours. */
const duration = (page: Page): Promise<string> =>
  page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration")

describe.skipIf(!Browser.isInstalled)("the settings of evergreen's web app", () => {
  it.live("theme, density and shortcuts are as they were chosen, also after a reload", () =>
    Effect.gen(function*() {
      const { address } = yield* started({})
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(`${address}/settings`)
      yield* Browser.act(async () => {
        await page.getByText(/^Perennial \d+\.\d+\.\d+/).waitFor()
        const [light, comfortable] = [await backgroundOf(page), await rowHeight(page)]
        await choose(page, "Theme", "Dark")
        await choose(page, "Density", "Compact")
        await choose(page, "Single-key shortcuts", "Off")
        const dark = await backgroundOf(page)
        const compact = await rowHeight(page)
        assert.notStrictEqual(dark, light)
        assert.isBelow(compact, comfortable)

        await page.reload()
        await page.getByText("Single-key shortcuts").waitFor()
        assert.strictEqual(await backgroundOf(page), dark)
        assert.strictEqual(await rowHeight(page), compact)
        await page.locator("h1").click()
        await page.keyboard.press("i")
        await page.keyboard.press("?")
        await choose(page, "Single-key shortcuts", "On")
        assert.strictEqual(new URL(page.url()).pathname, "/settings")
        await page.locator("h1").click()
        await page.keyboard.press("i")
        await page.getByText("Nothing waits for you.").waitFor()
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("nothing moves for a person who wants less motion", () =>
    Effect.gen(function*() {
      const { address } = yield* started({})
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.act(async () => {
        await page.getByText("Ask, and walk away.").waitFor()
        assert.strictEqual(await duration(page), "0.12s, 0.12s")
        await page.emulateMedia({ reducedMotion: "reduce" })
        assert.strictEqual(await duration(page), "0s")
      })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("the page of agents shows their models and tools, and which tools ask a person", () =>
    Effect.gen(function*() {
      const { address } = yield* started({ ANTHROPIC_API_KEY: "unused", PERENNIAL_MODEL: "claude-opus-5-5" })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(`${address}/a`)
      const agent = page.getByRole("region", { name: "evergreen" })
      yield* Browser.act(async () => {
        await agent.getByText("claude-opus-5-5").waitFor()
        const tools = agent.getByRole("listitem")
        assert.deepStrictEqual(await tools.locator(".tool-name").allInnerTexts(), [
          "current_time",
          "wait",
          "send_note",
          "announce"
        ])
        assert.deepStrictEqual(await tools.filter({ hasText: "asks a person" }).locator(".tool-name").allInnerTexts(), [
          "announce"
        ])
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
