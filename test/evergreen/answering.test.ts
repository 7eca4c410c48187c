import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Deferred, Effect } from "effect"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

/** Keeps what a screen reader says: each new text of a live region. */
const listen = `
  globalThis.heard = []
  new MutationObserver(() => {
    for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
      const text = region.textContent.trim()
      if (text !== "" && globalThis.heard.at(-1) !== text) globalThis.heard.push(text)
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true })
`

const serverOf = Effect.fnUntraced(function*(model: FakeAnthropic["Service"]) {
  return yield* started({ ANTHROPIC_API_KEY: "fake", ANTHROPIC_BASE_URL: model.url })
})

describe.skipIf(!Browser.isInstalled)("an answer in evergreen's web app", () => {
  it.live("the text of a try that fails is gone when the next try answers", () =>
    Effect.gen(function*() {
      const model = yield* FakeAnthropic
      const wasSeen = yield* Deferred.make<void>()
      yield* model.push(
        {
          actions: [
            { text: ["Void words."] },
            { run: Deferred.await(wasSeen) },
            { error: { type: "overloaded_error", message: "Overloaded" } }
          ]
        },
        { actions: [{ text: ["The answer."] }] }
      )
      const { address } = yield* serverOf(model)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      yield* Browser.act(() => page.locator(".messages").getByText("Void words.").waitFor())
      yield* Deferred.succeed(wasSeen, undefined)
      yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
      assert.deepStrictEqual(yield* Browser.answers(page), ["The answer."])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))

  it.live("a screen reader says what goes on in whole sentences, and never the text while it is written", () =>
    Effect.gen(function*() {
      const model = yield* FakeAnthropic
      const announce = { id: "a", name: "announce", input: { subject: "Release", text: "It is out." } }
      const [began, wentOn] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      yield* model.push(
        {
          actions: [
            { text: ["One ", "word ", "after ", "the ", "other."] },
            { run: Deferred.await(began) },
            { toolUse: announce }
          ]
        },
        { actions: [{ text: ["That ", "was "] }, { run: Deferred.await(wentOn) }, { text: ["all."] }] }
      )
      const { address } = yield* serverOf(model)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.act(() => page.evaluate(listen))
      yield* Browser.ask(page, "Go.")
      // A page shows what is true when it is drawn: the model waits until the page has shown that it answers.
      const saysAnswering = Browser.act(() =>
        page.locator("[role=status]", { hasText: /^Answering$/ }).waitFor({ state: "attached" })
      )
      yield* saysAnswering
      yield* Deferred.succeed(began, undefined)
      yield* Browser.act(() => page.getByRole("button", { name: "Allow" }).click())
      yield* saysAnswering
      yield* Deferred.succeed(wentOn, undefined)
      yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
      assert.deepStrictEqual(yield* Browser.act(() => page.evaluate("globalThis.heard")), [
        "Answering",
        "Needs you",
        "Answering",
        "The answer is complete."
      ])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))

  it.live("the answer and its code are copied as they were written", () =>
    Effect.gen(function*() {
      const model = yield* FakeAnthropic
      const text = "**One** line:\n\n```ts\nconst one = 1\n```"
      yield* model.push({ actions: [{ text: [text] }] })
      const { address } = yield* serverOf(model)
      const me = yield* Browser.visitor(yield* Browser.launch, { permissions: ["clipboard-read", "clipboard-write"] })
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      const copied = (label: string) =>
        Browser.act(async () => {
          // The button says it for two seconds.
          const copied = page.getByRole("button", { name: "Copied" }).waitFor()
          await page.getByRole("button", { name: label }).click()
          await copied
          return page.evaluate("navigator.clipboard.readText()")
        })
      yield* Browser.act(() => page.getByRole("link", { name: /^Tokens: [\d,]+ in · [\d,]+ out/ }).waitFor())
      assert.strictEqual(yield* copied("Copy the answer"), text)
      yield* Browser.act(() => page.getByRole("button", { name: "Copied" }).waitFor({ state: "detached" }))
      assert.strictEqual(yield* copied("Copy the code"), "const one = 1")
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))
})
