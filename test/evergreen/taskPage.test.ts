import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const script = `One.
---
First this.
@tool wait {"seconds":0}
---
@fail overloaded
`

const conversationId = "c1"

describe.skipIf(!Browser.isInstalled)("the page of a task in evergreen's web app", () => {
  it.live("shows what the task did when, and reads no messages but its own", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(script)
      const ask = (message: string) => Rest.start(address, { message, conversationId, onBusy: "enqueue" })
      const before = yield* ask("One?")
      const taskId = yield* ask("Two?")
      yield* ask("Three?")
      // The page reads the messages again when the task ends.
      yield* Sse.read(`${address}/tasks/${taskId}/events`)

      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open("about:blank")
      const read: Array<string> = []
      page.on("response", (response) => {
        const { pathname, search } = new URL(response.url())
        if (pathname.endsWith("/messages")) read.push(search)
      })
      const rows = page.locator(".waterfall tbody th")
      const panel = page.getByRole("tabpanel")
      yield* Browser.act(async () => {
        await page.goto(`${address}/t/${taskId}`)
        await rows.nth(6).waitFor()
        const steps = (await rows.allInnerTexts()).slice(0, 7).map((text) =>
          text.replaceAll(/\s*\n\s*/g, ", ").replace(/ · [\d,]+ in, [\d,]+ out/, ", tokens")
        )
        assert.deepStrictEqual(steps, [
          "queue",
          "model request, step 1, tokens",
          "wait, completed",
          "model request, step 2 · ModelOverloaded",
          "wait before try 2",
          "model request, step 2, try 2 · ModelOverloaded",
          "wait before try 3"
        ])
        await page.getByRole("tab", { name: "Input" }).click()
        await panel.getByText("Two?").waitFor()
        assert.strictEqual(await panel.innerText(), "Two?")
        await page.getByRole("tab", { name: "Output" }).click()
        await panel.getByText("First this.").waitFor()
        assert.strictEqual(await panel.innerText(), "First this.")
      })
      assert.deepStrictEqual(read.map((search) => new URLSearchParams(search).get("after")?.split("/")[0]), [
        taskId,
        before
      ])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
