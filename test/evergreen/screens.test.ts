import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BrowserContextOptions } from "playwright-core"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }

/** `states.test.ts` looks at every state on a desk. */
const looks: ReadonlyArray<readonly [string, BrowserContextOptions]> = [
  ["phone", { ...phone, reducedMotion: "reduce" }],
  ["phone-dark", { ...phone, colorScheme: "dark" }]
]

const script = `@pace 1 millis
\\## What survives

| store | starts/s |
| --- | ---: |
| SQLite | 732 |

1. **Every event** is stored.
2. A [bad link](javascript:alert(1)) is no link, and <b>HTML</b> stays text.

\`\`\`ts
const one = 1
\`\`\`
@tool announce {"subject":"Release","text":"It is out."}
---
@pace 1 millis
It is announced.
`

/** Each screen with what is on it when it is ready. */
const screens: ReadonlyArray<readonly [name: string, path: string, ready: string]> = [
  ["new", "/", ".empty"],
  ["inbox", "/inbox", ".decide"],
  ["tasks", "/t", ".table tbody tr"],
  ["agents", "/a", ".agent li"],
  ["settings", "/settings", ".shortcuts"]
]

const refusedStyle = `new Promise((resolve) => {
  document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective))
  document.head.append(document.createElement("style"))
  document.head.lastElementChild.append("body { color: red }")
})`

describe.skipIf(!Browser.isInstalled)("the screens of evergreen's web app", () => {
  for (const [look, options] of looks) {
    it.live(`keep the rules of accessibility and of the Content-Security-Policy: ${look}`, () =>
      Effect.gen(function*() {
        const { address } = yield* scripted(script)
        const me = yield* Browser.visitor(yield* Browser.launch, options)
        const page = yield* me.open(address)
        yield* Browser.ask(page, "Announce it.")
        yield* Browser.act(() => page.locator(".approval").waitFor())
        const chat = new URL(page.url()).pathname
        const messages = page.locator(".messages")
        assert.strictEqual(yield* Browser.act(() => messages.getByRole("link").count()), 0)
        assert.strictEqual(yield* Browser.act(() => messages.getByText("<b>HTML</b> stays text").count()), 1)

        const found: Array<string> = []
        for (const [name, path, ready] of [...screens, ["chat", chat, ".approval"] as const]) {
          yield* Browser.act(async () => {
            await page.goto(address + path)
            await page.locator(ready).first().waitFor()
          })
          yield* Browser.picture(page, `${name}-${look}`)
          for (const violation of yield* Browser.violations(page)) found.push(`${name}: ${violation}`)
        }
        yield* Browser.act(async () => {
          await page.goto(`${address}/t`)
          await page.locator(".table tbody tr a").click()
          await page.locator(".waterfall tbody tr").first().waitFor()
        })
        yield* Browser.picture(page, `task-${look}`)
        for (const violation of yield* Browser.violations(page)) found.push(`task: ${violation}`)
        assert.deepStrictEqual([...found, ...me.complaints], [])
        assert.strictEqual(yield* Browser.act(() => page.evaluate(refusedStyle)), "style-src-elem")
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
  }
})
