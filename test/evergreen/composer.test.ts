import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

/** Pastes files into the box in which one writes, or drops them beside it. A file is its name, its media type and its content in base64. */
const give = (page: Page, how: "paste" | "drop", files: ReadonlyArray<readonly [string, string, string]>) =>
  page.evaluate(`(() => {
    const data = new DataTransfer()
    for (const [name, type, base64] of ${JSON.stringify(files)}) {
      data.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name, { type }))
    }
    const init = { clipboardData: data, dataTransfer: data, bubbles: true, cancelable: true }
    if (${JSON.stringify(how)} === "paste") {
      document.querySelector("#message").dispatchEvent(new ClipboardEvent("paste", init))
    } else document.querySelector("h1").dispatchEvent(new DragEvent("drop", init))
  })()`)

/** Drops a text onto the box. Returns whether the browser may insert it. */
const mayInsert = (page: Page) =>
  page.evaluate(`(() => {
    const dataTransfer = new DataTransfer()
    dataTransfer.setData("text/plain", "A dragged word")
    const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true })
    return document.querySelector("#message").dispatchEvent(event)
  })()`)

const text = btoa("Some notes.")

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("takes files that are pasted, dropped or chosen, refuses too many and too large ones, and shows them after a reload", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted("I see.\n")
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const attached = page.locator(".composer .files li")
      yield* Browser.act(async () => {
        await page.getByText("Ask, and walk away.").waitFor()
        await give(page, "paste", [["pixel.png", "image/png", pixel]])
        await attached.getByRole("img", { name: "pixel.png" }).waitFor()
        await give(page, "drop", [["notes.txt", "text/plain", text]])
        await attached.getByText("notes.txt").waitFor()
        assert.isTrue(await mayInsert(page))
        await page.getByLabel("Files", { exact: true }).setInputFiles([
          { name: "more.csv", mimeType: "text/csv", buffer: Buffer.from("a,b") }
        ])
        await attached.getByText("more.csv").waitFor()

        await give(page, "drop", Array.from({ length: 8 }, (_, i) => [`${i}.txt`, "text/plain", text] as const))
        await page.getByRole("alert").getByText("A message has at most 10 files.").waitFor()
        await page.getByLabel("Files", { exact: true }).setInputFiles([
          { name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(5 * 1024 * 1024) }
        ])
        await page.getByRole("alert").getByText("at most 5 MiB together").waitFor()
        assert.strictEqual(await attached.count(), 3)
        await page.getByRole("button", { name: "Remove more.csv" }).click()

        await page.getByLabel("Message", { exact: true }).fill("What is this?")
        await page.keyboard.press("Enter")
        await page.locator(".messages").getByText("I see.").waitFor()
        await page.reload()
        await page.locator(".said").getByRole("img", { name: "pixel.png" }).waitFor()
        await page.locator(".said").getByText("notes.txt").waitFor()
      })
      const { body } = yield* Rest.get(`${address}/conversations/${page.url().split("/c/")[1]}/messages`)
      assert.deepStrictEqual(body.items[0].message.content, [
        { type: "text", text: "What is this?" },
        { type: "file", mediaType: "image/png", data: pixel, name: "pixel.png" },
        { type: "file", mediaType: "text/plain", data: text, name: "notes.txt" }
      ])
      const input = page.getByRole("tabpanel")
      yield* Browser.act(async () => {
        await page.locator(".usage").click()
        await page.getByRole("tab", { name: "Input" }).click()
        await input.getByText("What is this?").waitFor()
        assert.strictEqual(await input.getByRole("img", { name: "pixel.png" }).count(), 1)
        assert.strictEqual(await input.getByText("notes.txt").count(), 1)
      })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("answers again: the new answer takes the place of the old one, which is its earlier version", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted("The answer.\n")
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const answers = page.locator("[data-kind='block']")
      yield* Browser.ask(page, "Which one?")
      yield* Browser.act(async () => {
        await page.getByRole("button", { name: "Again", exact: true }).click()
        await page.locator(".messages").getByText("2/2").waitFor()
        await page.getByRole("button", { name: "Again", exact: true }).waitFor()
        assert.deepStrictEqual(await answers.allInnerTexts(), ["The answer."])
        await page.locator("h1").click()
        await page.keyboard.press("r")
        await page.locator(".messages").getByText("3/3").waitFor()
        await page.getByRole("button", { name: "Again", exact: true }).waitFor()
        assert.deepStrictEqual(await answers.allInnerTexts(), ["The answer."])
        assert.strictEqual(await page.locator(".user").count(), 1)
      })
      const { body } = yield* Rest.get(`${address}/conversations/${page.url().split("/c/")[1]}/messages`)
      assert.strictEqual(body.items.length, 2)
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
