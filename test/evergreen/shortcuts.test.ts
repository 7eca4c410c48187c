import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const script = `@tool announce {"subject":"Release","text":"It is out."}\n---\n@pace 1 millis\nIt is announced.\n`

/** The heading of the page takes the focus from where a person writes. */
const stopWriting = (page: Page) => page.locator("h1").click()

/** Asks in a new conversation, key by key. */
const askAndLook = async (page: Page, text: string) => {
  await page.getByText("Ask, and walk away.").waitFor()
  await page.getByLabel("Message", { exact: true }).fill("")
  await page.getByLabel("Message", { exact: true }).pressSequentially(text)
  await page.keyboard.press("Enter")
  await page.locator(".messages .said", { hasText: text }).waitFor()
  await page.locator(".approval").waitFor()
  await stopWriting(page)
}

const entry = (page: Page, at: number) => page.locator(`.entries li:nth-child(${at}) .entry`)

/** Each key, and what it does with two conversations that wait for a decision. */
const steps: ReadonlyArray<readonly [key: string, does: (page: Page) => Promise<unknown>]> = [
  ["n", (page) => askAndLook(page, "The second one.")],
  ["/", async (page) => {
    await page.locator(".search input:focus").waitFor()
    await stopWriting(page)
  }],
  ["i", (page) => entry(page, 2).waitFor()],
  ["j", (page) => page.locator(".entries li:nth-child(2) .entry[aria-current]").waitFor()],
  ["k", (page) => page.locator(".entries li:nth-child(1) .entry[aria-current]").waitFor()],
  ["d", (page) => entry(page, 2).getByText("New answer").waitFor()],
  ["a", (page) => entry(page, 1).getByText("New answer").waitFor()],
  ["Enter", async (page) => {
    await page.locator(".messages").getByText("It is announced.").waitFor()
    await stopWriting(page)
  }],
  ["e", async (page) => {
    await page.getByText("Sending replaces your earlier message").waitFor()
    await page.getByRole("button", { name: "Keep it" }).click()
    await stopWriting(page)
  }],
  ["r", (page) => page.locator(".approval").waitFor()],
  ["t", (page) => page.locator(".table tbody tr").nth(2).waitFor()],
  ["j", (page) => page.locator(".table tbody tr:nth-child(1)[data-selected]").waitFor()],
  ["c", (page) => page.locator("tr[data-selected] .task-state[data-state='cancelled']").waitFor()]
]

/** The keys that the list shows for people who do not write. */
const listed = (page: Page): Promise<ReadonlyArray<string>> =>
  page.locator("dialog .shortcuts section").filter({ hasNotText: "While you write" }).locator("kbd").allInnerTexts()

describe.skipIf(!Browser.isInstalled)("the shortcuts of evergreen's web app", () => {
  it.live("are those that the list shows, each of them does what it says, and none does anything while one types", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.act(() => askAndLook(page, "nit/jk? earcd"))
      for (const [key, does] of steps) {
        yield* Browser.act(async () => {
          await page.keyboard.press(key)
          await does(page)
        })
      }
      yield* Browser.act(async () => {
        await page.keyboard.press("?")
        await page.locator("dialog .shortcuts").waitFor()
      })
      assert.sameMembers(
        [...yield* Browser.act(() => listed(page))],
        [...new Set(["?", ...steps.map(([key]) => key.length === 1 ? key.toUpperCase() : key)])]
      )
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
