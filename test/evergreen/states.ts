/**
 * Every state of the web app, one after the other: each is photographed on a desk in light and dark and on a phone, into a folder
 * that git ignores, and checked against the rules of accessibility.
 */
import { Effect, FileSystem } from "effect"
import type { Locator, Page } from "playwright-core"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"
import { stateModel } from "./stateModel.ts"

const desk = { width: 1280, height: 860 }
const phone = { width: 390, height: 844 }

/** Dark differs from light in its colours. On a phone a finger has to meet what it can press. */
const looks = [
  { name: "light", colorScheme: "light", size: desk, rules: {} },
  { name: "dark", colorScheme: "dark", size: desk, rules: { runOnly: ["color-contrast"] } },
  { name: "phone", colorScheme: "light", size: phone, rules: { rules: { "target-size": { enabled: true } } } }
] as const

type Look = typeof looks[number]

const onDesk = looks.filter(({ size }) => size === desk)
const onPhone = looks.filter(({ size }) => size === phone)

const visible = (page: Page, what: string) => Browser.act(() => page.locator(what).first().waitFor())

const said = (page: Page, text: string | RegExp) =>
  Browser.act(() => page.locator("main").getByText(text).first().waitFor())

/** Photographs a state in the looks, and returns what is wrong with it. */
const look = Effect.fnUntraced(function*(page: Page, state: string, wanted: ReadonlyArray<Look> = looks) {
  const found: Array<string> = []
  for (const { colorScheme, name, rules, size } of wanted) {
    yield* Browser.act(async () => {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
      await page.setViewportSize(size)
    })
    for (const violation of yield* Browser.violations(page, rules)) found.push(`${state}, ${name}: ${violation}`)
    yield* Browser.picture(page, `states/${state}-${name}`)
  }
  yield* Browser.act(() => page.setViewportSize(wanted[0]?.size ?? desk))
  return found
})

/** A server that wants a token. */
export const visitSignIn = Effect.gen(function*() {
  const { address } = yield* started({ PERENNIAL_TOKENS: "alice:a-secret-of-alice" })
  const page = yield* (yield* Browser.visitor(yield* Browser.launch)).open(address)
  yield* Browser.act(() => page.getByLabel("Token").waitFor())
  return yield* look(page, "sign-in")
})

/** Visits all states of a person who is signed in, and returns what is wrong with them. */
export const visitStates = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const directory = yield* files.makeTempDirectoryScoped()
  const settings = {
    PERENNIAL_STORE: `sqlite:${directory}/perennial.db`,
    ANTHROPIC_API_KEY: "fake",
    ANTHROPIC_BASE_URL: yield* stateModel,
    PERENNIAL_MAX_REQUESTS: "unlimited"
  }
  const server = yield* started(settings)
  const { address } = server
  const browser = yield* Browser.launch
  const me = yield* Browser.visitor(browser)
  const found: Array<string> = []

  const shoot = (page: Page, name: string, wanted?: ReadonlyArray<Look>) =>
    Effect.map(look(page, name, wanted), (wrong) => void found.push(...wrong))
  const at = (path: string) => me.open(address + path)

  const page = yield* at("/inbox")
  yield* said(page, "Nothing waits for you.")
  yield* shoot(page, "inbox-empty")
  yield* Browser.act(() => page.goto(`${address}/t`))
  yield* visible(page, ".empty")
  yield* shoot(page, "tasks-empty")

  /** A new conversation in the same tab. */
  const conversation = Effect.fnUntraced(function*(text: string) {
    yield* Browser.act(() => page.goto(address))
    yield* visible(page, ".empty")
    yield* Browser.ask(page, text)
  })
  yield* Browser.act(() => page.goto(address))
  yield* visible(page, ".empty")
  yield* shoot(page, "new")

  yield* conversation("Show me where everything is kept.")
  yield* visible(page, "[data-kind='end']")
  yield* shoot(page, "completed")
  yield* Browser.act(() => page.getByRole("button", { name: "Again", exact: true }).click())
  yield* said(page, "2/2")
  yield* visible(page, "[data-kind='end']")
  yield* shoot(page, "versions")
  yield* Browser.act(() => page.getByRole("button", { name: "Earlier version" }).click())
  yield* said(page, "This is an earlier version.")
  yield* shoot(page, "earlier-version")
  yield* Browser.act(() => page.getByRole("button", { name: "Back to the newest" }).click())
  yield* Browser.act(() => page.getByRole("button", { name: "Edit and send again" }).click())
  yield* shoot(page, "edit")
  yield* Browser.act(() => page.getByRole("button", { name: "Rename or delete" }).click())
  yield* shoot(page, "rename")
  yield* Browser.act(() => page.keyboard.press("Escape"))

  yield* conversation("Think about the plan for the north.")
  yield* said(page, "Thoughts so far")
  yield* shoot(page, "thinking")
  yield* conversation("Tool first: wait for the build.")
  yield* visible(page, ".tool[data-status='executing']")
  yield* Browser.act(() => page.locator(".tool summary").click())
  yield* shoot(page, "tool")
  yield* conversation("Retry what the model refuses.")
  yield* said(page, /Try 2 in/)
  yield* shoot(page, "retry")
  yield* conversation("Fail at once.")
  yield* said(page, "It failed.")
  yield* shoot(page, "failed")
  yield* conversation("Announce the release to everybody, please.")
  yield* visible(page, ".approval")
  yield* shoot(page, "approval")
  yield* Browser.act(() => page.getByRole("button", { name: "Edit", exact: true }).click())
  yield* shoot(page, "approval-edited")
  yield* conversation("Announce it to the board as well.")
  yield* visible(page, ".approval")

  yield* conversation("Write about crashes.")
  yield* said(page, "Then it goes on where")
  yield* shoot(page, "writing")
  const writing = page.url()
  yield* Browser.ask(page, "And what happens after that?")
  yield* said(page, "Waits for the answer before it")
  yield* Browser.act(() => page.getByLabel("Message", { exact: true }).fill("Never mind, tell me the end"))
  yield* shoot(page, "queued")
  yield* Browser.act(() => page.getByRole("button", { name: "Remove" }).click())
  yield* Browser.act(() => page.getByText("Removed.").first().waitFor())

  yield* server.handle.kill({ killSignal: "SIGKILL" })
  yield* said(page, "Reconnecting. Nothing is lost.")
  yield* Browser.act(() => page.getByLabel("Message", { exact: true }).press("Enter"))
  yield* said(page, "Not sent yet.")
  yield* shoot(page, "reconnecting")
  yield* started({ ...settings, PORT: new URL(address).port })
  yield* said(page, "resumed · attempt 2")
  yield* shoot(page, "resumed")
  // A message that waits would begin when the answer stops, and its answer would take the place of the line about the end.
  yield* Browser.act(async () => {
    await page.getByRole("button", { name: "Remove" }).click()
    await page.getByRole("button", { name: "Remove" }).waitFor({ state: "detached" })
    await page.getByRole("button", { name: "Stop" }).click()
  })
  yield* said(page, "Stopped. What was said so far is kept.")
  yield* shoot(page, "stopped")

  for (
    const [name, path, ready] of [
      ["inbox", "/inbox", ".decide"],
      ["tasks", "/t", ".table tbody tr"],
      ["agents", "/a", ".agent li"],
      ["settings", "/settings", ".shortcuts"],
      ["missing", "/c/nowhere", ".empty"],
      ["missing-task", "/t/01a22b16-53e4-71d7-955e-fe6635f55ce8", ".empty"]
    ] as const
  ) {
    yield* Browser.act(() => page.goto(address + path))
    yield* visible(page, ready)
    yield* shoot(page, name)
  }
  yield* Browser.act(async () => {
    await page.goto(`${address}/t`)
    await page.locator(".table tbody tr", { hasText: "Write about crashes" }).first().getByRole("link").click()
    await page.locator(".waterfall tbody tr").nth(2).waitFor()
  })
  yield* shoot(page, "task")
  yield* Browser.act(() => page.getByRole("tab", { name: "Events" }).click())
  yield* shoot(page, "task-events")
  yield* Browser.act(() => page.getByRole("tab", { name: "Metadata" }).click())
  yield* shoot(page, "task-metadata")
  yield* Browser.act(async () => {
    await page.goto(writing)
    // A message that was removed before its turn leaves nothing behind.
    await page.getByText("Stopped. What was said so far is kept.").waitFor()
    await page.locator("h1").click()
    await page.keyboard.press("?")
    await page.getByRole("dialog", { name: "Shortcuts" }).locator(".shortcuts").waitFor()
  })
  yield* shoot(page, "shortcuts")
  yield* Browser.act(() => page.keyboard.press("Escape"))

  // What a desk shows beside the conversation is in the menu of a phone.
  const drawer = page.locator(".drawer")
  const searched = Effect.fnUntraced(function*(place: Locator, wanted: ReadonlyArray<Look>) {
    const box = place.getByLabel("Search conversations")
    yield* Browser.act(async () => {
      await box.fill("release")
      await place.locator(".found a").first().waitFor()
    })
    yield* shoot(page, "search", wanted)
    yield* Browser.act(async () => {
      await box.fill("nowhere")
      await place.getByText("No conversation has these words.").waitFor()
    })
    yield* shoot(page, "search-nothing", wanted)
  })
  yield* searched(page.locator(".layout"), onDesk)
  yield* Browser.act(async () => {
    await page.setViewportSize(phone)
    await page.goto(writing)
    await page.getByRole("button", { name: "Menu" }).click()
    await drawer.locator(".conversations a").first().waitFor()
  })
  yield* shoot(page, "menu", onPhone)
  yield* searched(drawer, onPhone)
  return [...found, ...me.complaints.filter((complaint) => !/status of 404 /.test(complaint))]
})
