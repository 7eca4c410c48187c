import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { scripted } from "./server.ts"

/** A browser in which the person has allowed notifications. They are kept instead of shown. */
const allowed = `
  globalThis.told = []
  globalThis.Notification = class {
    static permission = "granted"
    static requestPermission = async () => "granted"
    constructor(title, { body }) {
      globalThis.told.push(title + ": " + body)
      globalThis.heard?.()
    }
    close() {}
  }
`

/** Waits for the first one. */
const heard = `new Promise((resolve) => globalThis.told.length > 0 ? resolve() : globalThis.heard = resolve)`

/** The browser gives this tab no lock before the test says so. */
const lateLock = `
  const locks = navigator.locks // undefined on the empty page before the first one
  const request = locks?.request.bind(locks)
  if (locks) locks.request = (...lock) => new Promise((give) => globalThis.giveLock = give).then(() => request(...lock))
`

/** The page is in the background, as when another tab is in front of it. */
const hide = `
  Object.defineProperty(document, "hidden", { value: true, configurable: true })
  document.hasFocus = () => false
  document.dispatchEvent(new Event("visibilitychange"))
`

const openStreams = Effect.fnUntraced(function*(address: string) {
  const metrics = yield* Effect.promise(() => fetch(`${address}/metrics`).then((response) => response.text()))
  return Number(/^perennial_streams_open(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1])
})

const asking = scripted(`@tool announce {"subject":"Release","text":"It is out."}\n---\nDone.\n`)

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("tells a person who looks elsewhere that a tool waits, once it may, and without the contents", () =>
    Effect.gen(function*() {
      const { address } = yield* asking
      const me = yield* Browser.visitor(yield* Browser.launch)
      yield* Browser.act(() => me.context.addInitScript(allowed))
      const page = yield* me.open(`${address}/settings`)
      yield* Browser.act(async () => {
        await page.getByText("No conversations yet.").waitFor()
        const group = page.getByRole("group", { name: "Notifications" })
        // The choice changes when the browser has answered.
        await group.getByLabel("On", { exact: true }).click()
        await group.locator("input:checked + span", { hasText: "On" }).waitFor()
        await page.evaluate(hide)
      })
      yield* Rest.start(address, { message: "Announce it." })
      yield* Browser.act(() => page.evaluate(heard))
      assert.deepStrictEqual(
        yield* Browser.act(() => page.evaluate("globalThis.told")),
        ["Evergreen needs you: 1 tool call waits for your decision."]
      )
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a hidden tab without notifications holds no stream, and has everything when it is seen again", () =>
    Effect.gen(function*() {
      const { address } = yield* asking
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(`${address}/inbox`)
      yield* Browser.act(async () => {
        await page.getByText("Nothing waits for you.").waitFor()
        await page.evaluate(hide)
      })
      yield* Effect.repeat(openStreams(address), { until: (open) => open === 0 })
      yield* Rest.start(address, { message: "Announce it." })
      yield* Browser.act(async () => {
        await page.evaluate(hide.replace("value: true", "value: false"))
        await page.getByRole("button", { name: "Allow" }).waitFor()
      })
      yield* Effect.repeat(openStreams(address), { until: (open) => open === 1 })
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a tab to which the browser gives a lock late has all news before and afterwards", () =>
    Effect.gen(function*() {
      const { address } = yield* asking
      const me = yield* Browser.visitor(yield* Browser.launch)
      yield* Browser.act(() => me.context.addInitScript(lateLock))
      const page = yield* me.open(`${address}/inbox`)
      const hasNews = Effect.fnUntraced(function*(count: number) {
        yield* Rest.start(address, { message: "Announce it." })
        yield* Browser.act(() => page.locator(".entry").nth(count - 1).waitFor())
        yield* Browser.act(() => page.locator(".sidebar .badge", { hasText: String(count) }).waitFor())
      })
      yield* Browser.act(() => page.getByText("Nothing waits for you.").waitFor())
      yield* hasNews(1)
      yield* Browser.act(() => page.evaluate("globalThis.giveLock()"))
      yield* hasNews(2)
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
