import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Browser as Chromium, BrowserContextOptions, Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const script = `Thinking about the secret garden.
@tool announce {"subject":"Release","text":"It is out."}
---
It is announced.
`

const settings = { PERENNIAL_TOKENS: "alice:secret-of-alice,olga:secret-of-olga", PERENNIAL_OPERATORS: "olga" }

const bearer = (user: string) => ({ authorization: `Bearer secret-of-${user}` })

/** A page of a person who is signed in. */
const signedIn = Effect.fnUntraced(function*(
  browser: Chromium,
  address: string,
  user: string,
  options: BrowserContextOptions = {}
) {
  const visitor = yield* Browser.visitor(browser, options)
  const page = yield* visitor.open(`${address}/#token=secret-of-${user}`)
  yield* Browser.act(() => page.getByText("Ask, and walk away.").waitFor())
  return { page, visitor }
})

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }

const looks: ReadonlyArray<readonly [string, BrowserContextOptions]> = [
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", { ...phone, reducedMotion: "reduce" }],
  ["phone-dark", { ...phone, colorScheme: "dark" }]
]

/** Each screen of operators with what is on it when it is ready. */
const screens: ReadonlyArray<readonly [name: string, path: string, ready: string]> = [
  ["everybody", "/t?who=everybody", ".everybody tbody tr:nth-child(2)"],
  ["runners", "/r", ".owned li"]
]

const rows = (page: Page) => page.getByRole("region", { name: "Tasks of everybody" }).locator("tbody tr")

describe.skipIf(!Browser.isInstalled)("the pages of operators in evergreen's web app", () => {
  it.live("P12: show everybody's tasks without contents, by the filters of the address, and cancel one; a user sees the own tasks alone", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script, settings)
      const id = yield* Rest.start(address, { message: "A secret question" }, bearer("alice"))
      yield* Rest.start(address, { message: "A question of olga" }, bearer("olga"))
      const browser = yield* Browser.launch
      const { page, visitor } = yield* signedIn(browser, address, "olga")
      yield* Browser.act(async () => {
        await page.goto(`${address}/t`)
        await page.getByText("A question of olga").waitFor()
        await page.getByRole("link", { name: "Everybody" }).click()
        await rows(page).nth(1).waitFor()
        await page.getByRole("link", { name: "alice", exact: true }).click()
        await page.getByRole("button", { name: "alice", exact: true }).waitFor()
        await rows(page).nth(1).waitFor({ state: "detached" })
        await rows(page).filter({ hasText: "needs a person" }).waitFor()
        assert.deepStrictEqual([...new URL(page.url()).searchParams], [["who", "everybody"], ["userId", "alice"]])
        // The address alone leads to the same list.
        await page.reload()
        await rows(page).filter({ hasText: id.slice(-8) }).waitFor()
        await page.getByRole("button", { name: "Needs a person 1" }).waitFor()
        assert.notInclude(await page.locator("main").innerText(), "secret")
        await page.getByRole("button", { name: /^Cancel the task .* of alice$/ }).click()
        await rows(page).filter({ hasText: "cancelled" }).waitFor()
        await page.keyboard.press("j")
        await page.locator("tr[data-selected]").filter({ hasText: id.slice(-8) }).waitFor()
      })
      assert.strictEqual(
        (yield* Rest.send("GET", `${address}/tasks/${id}`, undefined, bearer("alice"))).body.status,
        "cancelled"
      )
      const chart = page.getByRole("region", { name: "Throughput of the last hour" })
      yield* Browser.act(async () => {
        await chart.getByText("1 cancelled").waitFor()
        await chart.getByText("As a table").click()
        await chart.getByRole("columnheader", { name: "started" }).waitFor()
        const cells = await chart.locator("tbody tr").evaluateAll((all) =>
          all.map((row) => [...row.querySelectorAll("td")].map((cell) => Number(cell.textContent)))
        )
        const sums = [0, 1, 2, 3].map((i) => cells.reduce((sum, row) => sum + (row[i] ?? 0), 0))
        assert.deepStrictEqual(sums, [2, 0, 1, 0], "started, completed, cancelled, failed")
      })
      const alice = yield* signedIn(browser, address, "alice")
      yield* Browser.act(async () => {
        await alice.page.goto(`${address}/t?who=everybody`)
        await alice.page.getByText("A secret question").waitFor()
        await alice.page.getByText("1 cancelled").waitFor()
        assert.strictEqual(await alice.page.getByRole("link", { name: /^(Everybody|Runners)$/ }).count(), 0)
        await alice.page.goto(`${address}/r`)
        await alice.page.getByText("Only operators see which processes execute tasks.").waitFor()
      })
      assert.deepStrictEqual([...visitor.complaints, ...alice.visitor.complaints], [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("keep the rules of accessibility and of the Content-Security-Policy, in light and dark, on a desktop and a phone", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script, settings)
      for (const user of ["alice", "olga"]) yield* Rest.start(address, { message: "Announce it." }, bearer(user))
      const browser = yield* Browser.launch
      const found: Array<string> = []
      for (const [look, options] of looks) {
        const { page, visitor } = yield* signedIn(browser, address, "olga", options)
        for (const [name, path, ready] of screens) {
          yield* Browser.act(async () => {
            await page.goto(address + path)
            await page.locator(ready).first().waitFor()
          })
          yield* Browser.picture(page, `${name}-${look}`)
          for (const violation of yield* Browser.violations(page)) found.push(`${name}-${look}: ${violation}`)
        }
        yield* Browser.act(async () => {
          const runner = page.locator("section.runner")
          await runner.getByText("2 wait for a person").waitFor()
          await runner.locator(".owned li").filter({ hasText: "needs a person" }).nth(1).waitFor()
          await runner.getByRole("link", { name: "Tasks" }).click()
          await rows(page).nth(1).waitFor()
          await page.close()
        })
        found.push(...visitor.complaints)
      }
      assert.deepStrictEqual(found, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("the settings show a webhook to which nothing is sent any more, and enable it again", () =>
    Effect.gen(function*() {
      const answer = { status: 410 }
      const receiver = createServer((request, response) => {
        request.resume()
        request.on("end", () => void response.writeHead(answer.status).end())
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void receiver.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => void receiver.close())
      )
      const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
      const { address } = yield* scripted("Done.\n", { ...settings, PERENNIAL_WEBHOOK_PRIVATE: "true" })
      assert.strictEqual((yield* Rest.post(`${address}/webhooks`, { url }, bearer("alice"))).status, 201)
      const { page, visitor } = yield* signedIn(yield* Browser.launch, address, "alice")
      const webhook = page.locator(".webhooks li")
      yield* Browser.act(async () => {
        await page.goto(`${address}/settings`)
        await webhook.filter({ hasText: "enabled" }).waitFor()
      })
      yield* Rest.start(address, { message: "Hello" }, bearer("alice"))
      yield* Browser.act(() => webhook.getByText("Nothing is sent:").waitFor())
      yield* Browser.picture(page, "webhook-disabled")
      assert.deepStrictEqual(yield* Browser.violations(page), [])
      answer.status = 204
      yield* Browser.act(async () => {
        await page.getByRole("button", { name: `Enable again: ${url}` }).click()
        await webhook.filter({ hasText: "enabled" }).waitFor()
      })
      assert.deepStrictEqual(visitor.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
