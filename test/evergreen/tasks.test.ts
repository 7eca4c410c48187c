import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const asking = scripted(`@tool announce {"subject":"Release","text":"It is out."}\n`)

describe.skipIf(!Browser.isInstalled)("the tasks of evergreen's web app", () => {
  it.live("are live, and their filters are in the address; new tasks do not move what is read", () =>
    Effect.gen(function*() {
      const { address } = yield* asking
      const first = yield* Rest.start(address, { message: "The first one." })
      yield* Rest.start(address, { message: "The second one." })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(`${address}/t`)
      const rows = page.locator(".table tbody tr")
      yield* Browser.act(() => rows.filter({ hasText: "needs you" }).nth(1).waitFor())
      yield* Rest.post(`${address}/tasks/${first}/cancel`)
      yield* Browser.act(async () => {
        await rows.filter({ hasText: "The first one." }).filter({ hasText: "cancelled" }).waitFor()
        await page.getByRole("button", { name: "Cancelled 1", exact: true }).click()
        await page.waitForURL("**/t?status=cancelled")
        await rows.filter({ hasText: "The second one." }).waitFor({ state: "detached" })
        assert.deepStrictEqual(await rows.locator("a").allInnerTexts(), ["The first one."])
        await page.goBack()
        await rows.nth(1).waitFor()
        await page.goto(`${address}/t?order=oldest`)
        await page.getByRole("button", { name: "Oldest first", pressed: true }).waitFor()
        await rows.nth(1).waitFor()
        assert.deepStrictEqual(await rows.locator("a").allInnerTexts(), ["The first one.", "The second one."])
        await page.goto(`${address}/t`)
        await rows.nth(1).waitFor()
      })
      yield* Rest.start(address, { message: "The third one." })
      yield* Browser.act(async () => {
        const fresh = page.getByRole("button", { name: "1 new" })
        await fresh.waitFor()
        assert.deepStrictEqual(await rows.locator("a").allInnerTexts(), ["The second one.", "The first one."])
        await fresh.click()
        await rows.filter({ hasText: "The third one." }).waitFor()
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("have a page with their events and their record, on which one cancels a task and runs it again", () =>
    Effect.gen(function*() {
      const { address } = yield* asking
      const id = yield* Rest.start(address, { message: "Announce it." })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(`${address}/t/${id}`)
      const events = page.locator(".events li b")
      yield* Browser.act(async () => {
        await page.locator(".task-state", { hasText: "needs you" }).waitFor()
        await page.getByRole("tab", { name: "Events" }).click()
        await events.filter({ hasText: "tool_approval" }).waitFor()
        await page.getByLabel("Type").selectOption("started")
        assert.deepStrictEqual(await events.allInnerTexts(), ["started"])
        await page.getByRole("tab", { name: "Metadata" }).click()
        const record = await page.getByRole("group", { name: "The record of the task" }).innerText()
        assert.strictEqual(JSON.parse(record).id, id)
        await page.getByRole("button", { name: "Cancel" }).click()
        await page.locator(".task-state", { hasText: "cancelled" }).waitFor()
        await page.getByRole("button", { name: "Run again" }).click()
        await page.locator(".approval").waitFor()
        assert.deepStrictEqual(await page.locator(".user .said").allInnerTexts(), ["Announce it.", "Announce it."])
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
