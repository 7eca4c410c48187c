import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import type { Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const words = (letter: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${letter}${i}`).join(" ")

const first = words("w", 200)
const second = words("x", 200)

/**
 * A long answer, a tool, another long answer, a tool that a person has to allow, and an end. The pace of an answer is such that it
 * is still written when the test has seen what it waits for, also on a busy machine.
 */
const script = (pace: { readonly first: number; readonly second: number }): string =>
  [
    `@pace ${pace.first} millis\n${first}\n@tool wait {"seconds":1}`,
    `@pace ${pace.second} millis\n${second}\n@tool announce {"subject":"Release","text":"It is out."}`,
    "The end."
  ].join("\n---\n")

const slow = 600
const fast = 5

const scripted = Effect.fnUntraced(function*(text: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const file = `${directory}/script.txt`
  const write = (text: string) => fs.writeFileString(file, text)
  yield* write(text)
  return { write, settings: { PERENNIAL_STORE: `sqlite:${directory}/perennial.db`, PERENNIAL_SCRIPT: file } }
})

interface Stored {
  readonly message: { readonly role: string; readonly content: ReadonlyArray<{ readonly text?: string }> }
}

/** The texts of the stored messages of a role. */
const textsOf = (items: ReadonlyArray<Stored>, role: string): ReadonlyArray<string> =>
  items.filter(({ message }) => message.role === role)
    .map(({ message }) => message.content.map(({ text = "" }) => text).join("").trim())

/** Waits until the server has so many event streams open, of all browsers. It closes one a little after its reader has gone. */
const hasStreams = (page: Page, isDue: (open: number) => boolean) =>
  Browser.act(async () => {
    const metrics = await page.evaluate(() => fetch("/metrics").then((response) => response.text()))
    return Number(/^perennial_streams_open(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1])
  }).pipe(Effect.repeat({ until: isDue }))

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("P3: two tabs, a reload and a second browser show the same whole answer, though the server is killed twice", () =>
    Effect.gen(function*() {
      const { settings, write } = yield* scripted(script({ first: slow, second: slow }))
      const server = yield* started(settings)
      const again = { ...settings, PORT: new URL(server.address).port }
      const browser = yield* Browser.launch
      const me = yield* Browser.visitor(browser)

      const one = yield* me.open(server.address)
      yield* Browser.ask(one, "Go.")
      yield* Browser.act(() => one.locator(".messages").getByText(/w5\b/).waitFor())
      const two = yield* me.open(one.url())
      yield* Browser.act(() => two.locator(".messages").getByText(/w8\b/).waitFor())
      yield* server.handle.kill({ killSignal: "SIGKILL" })
      yield* Browser.act(() => one.getByText("Reconnecting. Nothing is lost.").waitFor())
      yield* Browser.picture(one, "reconnecting")
      yield* write(script({ first: fast, second: slow }))
      const next = yield* started(again)
      yield* Browser.act(() => one.getByText("resumed · attempt 2").waitFor())
      yield* Browser.act(() => one.locator(".messages").getByText(/x5\b/).waitFor())
      yield* next.handle.kill({ killSignal: "SIGKILL" })
      yield* write(script({ first: fast, second: fast }))
      yield* started(again)

      const other = yield* Browser.visitor(browser)
      const three = yield* other.open(one.url())
      for (const page of [one, two, three]) yield* Browser.act(() => page.locator(".approval").waitFor())
      yield* Browser.picture(two, "approval")
      assert.deepStrictEqual(yield* Browser.violations(one), [])
      yield* Browser.act(() => three.getByRole("button", { name: "Allow" }).click())
      for (const page of [one, two, three]) {
        yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
      }
      yield* Browser.act(() => one.reload())
      yield* Browser.act(() => one.locator(".messages").getByText("The end.").waitFor())
      const { body } = yield* Rest.get(`${server.address}/conversations/${one.url().split("/c/")[1]}/messages`)
      const stored = textsOf(body.items, "assistant")
      assert.deepStrictEqual(stored, [first, second, "The end."])
      for (const page of [one, two, three]) {
        assert.deepStrictEqual(yield* Browser.answers(page), stored)
        assert.deepStrictEqual(yield* Browser.act(() => page.locator(".user .said").allInnerTexts()), ["Go."])
        assert.deepStrictEqual(yield* Browser.act(() => page.locator(".tool .tool-name").allInnerTexts()), [
          "wait",
          "announce"
        ])
        assert.deepStrictEqual(yield* Browser.act(() => page.locator(".tool .tool-state").allInnerTexts()), [
          "Done",
          "Done"
        ])
      }
      const taskId = body.items[0].taskId
      yield* Browser.act(async () => {
        await one.goto(`${server.address}/t/${taskId}`)
        await one.locator(".waterfall tbody th").last().waitFor()
      })
      const steps = yield* Browser.act(() => one.locator(".waterfall tbody th").allInnerTexts())
      assert.deepStrictEqual(steps.filter((step) => step.startsWith("crash")).map((step) => step.split(/\n+/)[1]), [
        "attempt 2 goes on",
        "attempt 3 goes on"
      ])
      assert.isTrue(steps.some((step) => step.startsWith("announce waits for a person")), steps.join())
      yield* Browser.picture(one, "waterfall")
      assert.deepStrictEqual([...me.complaints, ...other.complaints], [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("seven tabs of one browser are one feed and one stream of the conversation, also with messages that wait", () =>
    Effect.gen(function*() {
      const { settings } = yield* scripted(`@pace ${slow} millis\n${words("w", 1_000)}`)
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      yield* Browser.act(() => page.locator(".messages").getByText(/w5\b/).waitFor())
      yield* Browser.ask(page, "And then?")
      yield* Browser.ask(page, "And at last?")
      const others = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => me.open(page.url()))
      for (const other of others) {
        yield* Browser.act(() => other.locator(".messages").getByText(/w8\b/).waitFor())
        yield* Browser.act(() => other.locator(".messages").getByText("And at last?").waitFor())
      }
      // The feed, and the stream of the conversation.
      yield* hasStreams(page, (open) => open === 2)
      yield* Browser.act(() => page.getByRole("button", { name: "Remove" }).first().click())
      for (const other of others) yield* Browser.act(() => other.getByText("Removed. It was not answered.").waitFor())
      yield* Browser.act(() => page.getByRole("button", { name: "Stop" }).click())
      for (const other of others) {
        yield* Browser.act(() => other.locator(".messages").getByText(/w3\b/).nth(1).waitFor())
      }
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("five conversations side by side are at most three streams, and each of them has its answer", () =>
    Effect.gen(function*() {
      const { settings } = yield* scripted("@pace 40 millis\nOne after the other.")
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const pages = yield* Effect.forEach([1, 2, 3, 4, 5], () => me.open(address))
      for (const page of pages) yield* Browser.ask(page, "Go.")
      for (const page of pages) {
        yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
        yield* Browser.ask(page, "Again.")
      }
      for (const page of pages) {
        yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).nth(1).waitFor())
        assert.deepStrictEqual(yield* Browser.answers(page), ["One after the other.", "One after the other."])
      }
      // The feed, and three conversations.
      yield* hasStreams(pages[0] ?? (yield* me.open(address)), (open) => open <= 4)
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("an answer whose events are late has no end before they come, though the feed has told of it", () =>
    Effect.gen(function*() {
      const { settings } = yield* scripted(
        "The text.\n@tool announce {\"subject\":\"A\",\"text\":\"B\"}\n---\nThe end."
      )
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const late = Promise.withResolvers<void>()
      yield* Browser.act(async () => {
        // The requests of a page can be held, those of a shared worker cannot.
        await me.context.addInitScript("delete globalThis.SharedWorker")
        await me.context.route("**/conversations/*/events*", (route) => late.promise.then(() => route.continue()))
      })
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      const active = page.getByText("1 active")
      yield* Browser.act(() => page.locator(".sidebar .badge").waitFor())
      yield* Browser.act(() => active.waitFor())
      const { body } = yield* Rest.get(`${address}/approvals`)
      const [{ taskId, toolCallId }] = body.items
      yield* Rest.post(`${address}/tasks/${taskId}/decisions/${toolCallId}`, { approved: true })
      yield* Browser.act(() => active.waitFor({ state: "detached" }))
      const end = page.getByRole("button", { name: "Copy the answer" })
      assert.strictEqual(yield* Browser.act(() => end.count()), 0)
      late.resolve()
      yield* Browser.act(() => end.waitFor())
      assert.deepStrictEqual(yield* Browser.answers(page), ["The text.", "The end."])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("how the last task failed is there after a reload, beside what it said", () =>
    Effect.gen(function*() {
      const { settings } = yield* scripted("The beginning.\n@tool wait {\"seconds\":0}\n---\n@fail quota")
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      const failure = page.locator(".status.danger")
      yield* Browser.act(() => failure.waitFor())
      const said = yield* Browser.act(() => failure.innerText())
      yield* Browser.act(() => page.reload())
      yield* Browser.act(() => failure.waitFor())
      assert.strictEqual(yield* Browser.act(() => failure.innerText()), said)
      assert.deepStrictEqual(yield* Browser.answers(page), ["The beginning."])
      assert.strictEqual(yield* Browser.act(() => page.getByRole("button", { name: "Again", exact: true }).count()), 1)
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
