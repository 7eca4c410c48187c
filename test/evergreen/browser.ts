/**
 * Pages in a real Chromium. What a page complains about is kept: errors, and violations of the Content-Security-Policy.
 */
import axe from "axe-core"
import { Effect } from "effect"
import { existsSync, mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome"]
const executable = (process.env["PATH"] ?? "").split(":")
  .flatMap((directory) => names.map((name) => `${directory}/${name}`))
  .find((file) => existsSync(file))

export const isInstalled = executable !== undefined

const screens = "test/screens"

/** In milliseconds. No test waits for this long. The limit is for busy machines. */
const patience = 120_000

export const launch = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: executable ?? "chromium",
      timeout: patience,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

export interface Visitor {
  readonly context: BrowserContext
  /** What its pages have complained about. A server that is down is no complaint. */
  readonly complaints: ReadonlyArray<string>
  readonly open: (url: string) => Effect.Effect<Page>
}

/** A browser of its own, as far as a server can see: with its own storage and its own shared worker. */
export const visitor = Effect.fnUntraced(function*(browser: Browser, options: BrowserContextOptions = {}) {
  const complaints: Array<string> = []
  const context = yield* Effect.acquireRelease(
    Effect.promise(() =>
      browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light", ...options })
    ),
    (context) => Effect.promise(() => context.close())
  )
  context.on("weberror", (error) => complaints.push(String(error.error())))
  context.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("net::ERR_")) complaints.push(message.text())
  })
  context.setDefaultTimeout(patience)
  const open = (url: string) =>
    Effect.promise(async () => {
      const page = await context.newPage()
      await page.goto(url)
      return page
    })
  return { context, complaints, open } satisfies Visitor
})

/** Executes a step in the browser. */
export const act = <A>(step: () => Promise<A>): Effect.Effect<A> => Effect.promise(step)

/** Writes a message and sends it, when the page shows what is in the conversation, or that it is a new one. */
export const ask = (page: Page, text: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    await page.locator(".empty, .item").first().waitFor()
    const message = page.getByLabel("Message", { exact: true })
    await message.fill(text)
    await message.press("Enter")
  })

/** A picture of the page, in a folder that git ignores. */
export const picture = (page: Page, name: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    mkdirSync(dirname(`${screens}/${name}`), { recursive: true })
    await page.screenshot({ path: `${screens}/${name}.png` })
  })

/** What axe-core finds against the rules of accessibility: its own options may choose them. */
export const violations = (page: Page, options: object = {}): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    // The debugger injects axe-core, because the policy of the page would refuse a script element.
    await page.evaluate(axe.source)
    return page.evaluate(async (options) => {
      const { axe } = globalThis as unknown as {
        axe: {
          run: (options: object) => Promise<{ violations: Array<{ id: string; nodes: Array<{ html: string }> }> }>
        }
      }
      const { violations } = await axe.run({ resultTypes: ["violations"], ...options })
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`)
    }, options)
  })

/** The texts of the answer on the page, from top to bottom. */
export const answers = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(() => page.locator("[data-kind=\"block\"]").allInnerTexts())
