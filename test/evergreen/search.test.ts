import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const script = "An oak is a tree.\n---\nSomething else.\n"

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("finds conversations by words of all their messages, and opens one of them with the keyboard", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script)
      const say = Effect.fnUntraced(function*(conversationId: string, message: string) {
        const taskId = yield* Rest.start(address, { message, conversationId })
        const { next } = yield* Sse.connect(`${address}/tasks/${taskId}/events`)
        yield* Effect.repeat(next, { until: ({ data }) => data.type === "done" })
      })
      for (const [id, name] of [["c1", "Planting"], ["c2", "Trees of the north"], ["c3", "Cooking"]] as const) {
        yield* say(id, `${name}, please`)
        // From here on no list shows the first message and its answer.
        yield* say(id, "More")
        yield* Rest.send("PATCH", `${address}/conversations/${id}`, { title: `${name} ${id}` })
      }
      yield* say("c4", "A question about bread")

      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const found = page.locator(".sidebar .found a")
      const box = page.getByLabel("Search conversations")
      yield* Browser.act(async () => {
        await page.locator(".conversations a").nth(3).waitFor()
        await page.locator("h1").click()
        await page.keyboard.press("/")
        await box.pressSequentially("oak PLANT")
        // While somebody types, results of what was typed so far are shown, too.
        await found.locator("mark", { hasText: /^Plant$/ }).waitFor()
        await page.getByText("1 found").waitFor()
        assert.deepStrictEqual(await found.locator(".title").allInnerTexts(), ["Planting c1"])

        await box.fill("tree")
        await page.getByText("4 found").waitFor()
        assert.deepStrictEqual(await found.locator(".title").allInnerTexts(), [
          "An oak is a tree.",
          "Cooking c3",
          "Trees of the north c2",
          "Planting c1"
        ])
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
      })
      yield* Browser.picture(page, "search")
      assert.deepStrictEqual(yield* Browser.violations(page), [])
      yield* Browser.act(async () => {
        await page.keyboard.press("Enter")
        await page.locator("h1", { hasText: "Trees of the north c2" }).waitFor()
        assert.strictEqual(new URL(page.url()).pathname, "/c/c2")
        assert.strictEqual(await box.inputValue(), "")

        await box.fill("nowhere")
        await page.getByText("No conversation has these words.").waitFor()
        await page.keyboard.press("Escape")
        await page.locator(".conversations a").nth(3).waitFor()
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
