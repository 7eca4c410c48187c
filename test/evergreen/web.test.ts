import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
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

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("P3: two tabs, a reload and a second browser show the same whole answer, though the server is killed twice", () =>
    Effect.gen(function*() {
      const { settings, write } = yield* scripted(script({ first: slow, second: slow }))
      const server = yield* started(settings)
      const again = { ...settings, PORT: new URL(server.address).port }
      const browser = yield* Browser.launch
      const me = yield* Browser.visitor(browser)

      const one = yield* me.open(server.address)
      yield* Browser.act(async () => {
        await one.getByLabel("Message", { exact: true }).fill("Go.")
        await one.keyboard.press("Enter")
        await one.locator(".messages").getByText(/w5\b/).waitFor()
      })
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
      const expected = [first, second, "The end."]
      for (const page of [one, two, three]) {
        yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
        assert.deepStrictEqual(yield* Browser.answers(page), expected)
      }
      yield* Browser.act(() => one.reload())
      yield* Browser.act(() => one.locator(".messages").getByText("The end.").waitFor())
      assert.deepStrictEqual(yield* Browser.answers(one), expected)
      assert.deepStrictEqual([...me.complaints, ...other.complaints], [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("seven tabs of one browser are one feed and one stream for each task that they show", () =>
    Effect.gen(function*() {
      const { settings } = yield* scripted(`@pace ${slow} millis\n${words("w", 1_000)}`)
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* Browser.act(async () => {
        await page.getByLabel("Message", { exact: true }).fill("Go.")
        await page.keyboard.press("Enter")
        await page.locator(".messages").getByText(/w5\b/).waitFor()
      })
      const others = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => me.open(page.url()))
      for (const other of others) yield* Browser.act(() => other.locator(".messages").getByText(/w8\b/).waitFor())
      const metrics = yield* Browser.act(() =>
        page.evaluate(() => fetch("/metrics").then((response) => response.text()))
      )
      const open = /^perennial_streams_open(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1]
      assert.strictEqual(open, "2", "the feed, and the stream of the task")
      yield* Browser.act(() => page.getByRole("button", { name: "Stop" }).click())
      for (const other of others) yield* Browser.act(() => other.getByText("Stopped.").first().waitFor())
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
