import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

const idOf = (page: Page) => page.url().split("/c/")[1]

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("allows a call with other arguments, and tells the agent the reason", () =>
    Effect.gen(function*() {
      const { address } = yield* scripted(
        "I announce it.\n@tool announce {\"subject\":\"Release\",\"text\":\"It is out.\"}\n---\nThe end.\n"
      )
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      yield* Browser.act(async () => {
        await page.getByRole("button", { name: "Edit", exact: true }).click()
        await page.getByLabel("Arguments, JSON").fill("{\"subject\": ")
        await page.getByRole("button", { name: "Allow with changes" }).click()
        await page.getByRole("alert").getByText("These arguments are not JSON").waitFor()
        await page.getByLabel("Arguments, JSON").fill("{\"subject\":\"Release 2\",\"text\":\"It is out at last.\"}")
        await page.getByLabel("Reason").fill("The number was missing.")
        await page.getByRole("button", { name: "Allow with changes" }).click()
        await page.locator(".messages").getByText("The end.").waitFor()
      })
      const { body: { items } } = yield* Rest.get(`${address}/conversations/${idOf(page)}/messages`)
      const json = { accept: "application/json" }
      const { body } = yield* Rest.send("GET", `${address}/tasks/${items[0].taskId}/events`, undefined, json)
      const events: ReadonlyArray<{ readonly event: Record<string, unknown> }> = body.events
      const decided = events.map(({ event }) => event).filter(({ decision, type }) =>
        type === "tool_approval" && decision !== undefined
      )
      assert.deepStrictEqual(decided.map(({ decision }) => decision), [{
        approved: true,
        args: { subject: "Release 2", text: "It is out at last." },
        reason: "The number was missing."
      }])
      const result = events.find(({ event }) => event["type"] === "tool_result")?.event["result"]
      assert.deepStrictEqual(result, { announced: "Release 2: It is out at last." })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a message interrupts the answer, and Escape stops one; what was said stays", () =>
    Effect.gen(function*() {
      // The first and the third answer do not end by themselves, however slow the machine is.
      const { address } = yield* scripted("First words.\n@silence\n---\nThe whole.\n---\nThird words.\n@silence\n")
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      const message = page.getByLabel("Message", { exact: true })
      yield* Browser.ask(page, "One.")
      yield* Browser.act(async () => {
        await page.locator(".messages").getByText("First words.").waitFor()
        await message.fill("Two.")
        await page.getByRole("button", { name: "Interrupt" }).click()
        await page.locator(".messages").getByText("Two.").waitFor()
        await page.getByRole("button", { name: "Copy the answer" }).first().waitFor()
        await page.locator(".messages").getByText("The whole.").waitFor()
        await message.fill("Three.")
        await page.keyboard.press("Enter")
        await page.locator(".messages").getByText("Three.").waitFor()
        await page.locator(".messages").getByText("Third words.").waitFor()
        await message.press("Escape")
        // The first answer may still have this line, too.
        await page.locator("[data-kind='status']").last().getByText("Stopped. What was said so far is kept.").waitFor()
      })
      const { body: { items } } = yield* Rest.get(`${address}/conversations/${idOf(page)}/messages`)
      const told: ReadonlyArray<{ readonly role: string; readonly status: string }> = items.map((
        { message, status }: { readonly message: { readonly role: string }; readonly status: string }
      ) => ({ role: message.role, status }))
      assert.deepStrictEqual(told.filter(({ role }) => role === "assistant").map(({ status }) => status), [
        "partial",
        "complete",
        "partial"
      ])
      const { body } = yield* Rest.get(`${address}/tasks?order=oldest`)
      assert.deepStrictEqual(body.items.map(({ status }: { readonly status: string }) => status), [
        "cancelled",
        "completed",
        "cancelled"
      ])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
