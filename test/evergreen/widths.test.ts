import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

/** In CSS pixels: 320 is what a page of 1,280 pixels has when it is enlarged four times (WCAG 2.2, 1.4.10). */
const widths = [320, 390, 600, 768, 800, 960, 1009, 1024, 1280, 1920]

const script = `I announce it.
@tool announce {"subject":"Release","text":"${"It is out, and everybody may know it. ".repeat(4).trim()}"}
---
The end.
`

/** Each screen with what is on it when it is ready. */
const screens: ReadonlyArray<readonly [path: string, ready: string]> = [
  ["/", ".empty"],
  ["/inbox", ".decide .buttons"],
  ["/t", ".table tbody tr"],
  ["/t?who=everybody", ".everybody tbody tr"],
  ["/r", ".owned li"],
  ["/a", ".agent li"],
  ["/settings", ".shortcuts"]
]

/**
 * What is beyond the edge of the window, and names of screens that are shortened. The title of a conversation may be, and some
 * rows scroll sideways.
 */
const cutOff = `(() => {
  const found = []
  const name = (element) => element.tagName + " " + (element.textContent || element.ariaLabel || "").trim().slice(0, 30)
  for (const element of document.querySelectorAll("main :is(h1, h2, button, a, input, select, td, th)")) {
    const { left, right, width } = element.getBoundingClientRect()
    if (width === 0 || !element.checkVisibility() || element.closest(".filters, .tabs, .hidden")) continue
    if (left < 0 || right > innerWidth + 1) found.push(name(element))
  }
  const title = document.querySelector("h1")
  if (title.scrollWidth > title.clientWidth && !location.pathname.startsWith("/c/")) found.push("shortened: " + name(title))
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page")
  return found
})()`

describe.skipIf(!Browser.isInstalled)("the screens of evergreen's web app", () => {
  it.live("cut nothing off, whatever the width of the window", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Announce it to everybody who has waited for it.")
      yield* Browser.act(() => page.locator(".approval").waitFor())
      const chat = new URL(page.url()).pathname
      const found: Array<string> = []
      for (const [path, ready] of [...screens, [chat, ".approval"] as const]) {
        yield* Browser.act(async () => {
          await page.goto(address + path)
          await page.locator(ready).first().waitFor()
        })
        for (const width of widths) {
          yield* Browser.act(() => page.setViewportSize({ width, height: 860 }))
          for (const one of yield* Browser.act(() => page.evaluate<ReadonlyArray<string>>(cutOff))) {
            found.push(`${path} ${width}: ${one}`)
          }
        }
      }
      assert.deepStrictEqual([...found, ...me.complaints], [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
