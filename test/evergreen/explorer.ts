/**
 * A person who does anything, drawn from a seed: writes, clicks, presses keys, goes from page to page, and loses the network.
 * Meanwhile the server is killed and started again. After each step nothing may be on the page twice. At the end every
 * conversation is shown as it is stored, and no page has complained.
 */
import { Effect, FileSystem, Random } from "effect"
import type { Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

/** Each answer has words that no other answer has. Some call a tool, and one of the tools asks the person. */
const answer = (n: number): string => {
  const words = Array.from({ length: 12 + 7 * (n % 5) }, (_, i) => `a${n}w${i}`).join(" ")
  const tool =
    ["", "", `@tool announce {"subject":"Release ${n}","text":"It is out."}`, `@tool wait {"seconds":1}`][n % 4]
  return `@pace 15 millis\na${n} ${words}\n${tool}`
}

const script = Array.from({ length: 40 }, (_, n) => answer(n)).join("\n---\n")

/** Milliseconds. No test waits for this long: a page that is still different is wrong. */
const patience = 60_000

/** What is there twice: messages, answers, conversations and tasks. */
const twice = `(() => {
  const lists = [".user .said p", "[data-kind='block']"].map((selector) =>
    [...document.querySelectorAll(selector)].map((element) => element.textContent.split(" ")[0]))
  for (const selector of [".layout > .sidebar .conversations a", ".table tbody a"]) {
    lists.push([...document.querySelectorAll(selector)].map((link) => link.getAttribute("href")))
  }
  return lists.flatMap((list) => list.filter((one, i) => list.indexOf(one) !== i))
})()`

/**
 * What the page shows of its conversation and what is stored, if they stay different; else nothing. They are compared whenever the
 * page changes, and whenever the conversation has another event. It is one script, because the policy of the page refuses scripts
 * that are made of text later.
 */
const difference = `new Promise((resolve) => {
  const text = ({ content }) =>
    typeof content === "string" ? content : content.map((part) => part.type === "text" ? part.text : "").join("")
  const path = "/conversations/" + location.pathname.split("/c/")[1]
  const read = async () => {
    const response = await fetch(path + "/messages?limit=1000")
    const { items = [] } = response.ok ? await response.json() : {}
    const stored = items.filter(({ message }) => message.role !== "tool").map(({ message }) => text(message).trim())
      .filter((text) => text !== "")
    const shown = [...document.querySelectorAll(".user[data-stored] .said p, [data-kind='block']")]
      .map((element) => element.textContent.trim())
    return JSON.stringify(shown) === JSON.stringify(stored) ? [] : [JSON.stringify({ shown, stored }, undefined, 2)]
  }
  let found = ["nothing was compared"]
  let wanted = false
  let reads = false
  const end = (result) => {
    clearTimeout(limit)
    observer.disconnect()
    events.close()
    resolve(result)
  }
  const compare = async () => {
    wanted = true
    if (reads) return
    reads = true
    while (wanted) {
      wanted = false
      found = await read()
      if (found.length === 0) return end([])
    }
    reads = false
  }
  const observer = new MutationObserver(compare)
  observer.observe(document.body, { childList: true, characterData: true, attributes: true, subtree: true })
  const events = new EventSource(path + "/events")
  events.addEventListener("message", compare)
  const limit = setTimeout(() => end(found), ${patience})
  compare()
})`

export interface Options {
  readonly seed: string | number
  readonly steps: number
}

const routes: readonly [string, ...ReadonlyArray<string>] = [
  "/",
  "/inbox",
  "/t",
  "/t?status=running",
  "/a",
  "/settings"
]
const keys: readonly [string, ...ReadonlyArray<string>] = [
  "n",
  "i",
  "t",
  "j",
  "k",
  "a",
  "d",
  "c",
  "e",
  "r",
  "/",
  "?",
  "Escape",
  "Enter",
  "Tab"
]
const clickable = "a[href^='/']:not([href='/docs'], .skip):visible, button:visible:enabled, summary:visible"

type Server = Effect.Success<ReturnType<typeof started>>

const between = (least: number, most: number) => Random.nextIntBetween(least, most + 1)

const oneOf = <A>(...all: readonly [A, ...ReadonlyArray<A>]): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length), (at) => all[at] ?? all[0])

/** A step that takes long is given up: what it wanted to click may be gone. */
const brief = { timeout: 2_000 } as const

const attempt = (step: () => Promise<unknown>): Effect.Effect<void> =>
  Browser.act(() => step().then(() => {}, () => {}))

/** The steps of a person and of the world. Each returns what it did. */
const stepsOf = Effect.fnUntraced(function*(page: Page, settings: Record<string, string>, first: Server) {
  let said = 0
  let online = true
  let server: Server | undefined = first
  const { address } = first

  const say = Effect.gen(function*() {
    const text = `m${++said} ${yield* oneOf("please", "**now** <b>&", "`code` | table |", "- list 1. list")}`
    const key = yield* oneOf("Enter", "Enter", "Enter", "Control+Enter")
    const box = page.getByLabel("Message", { exact: true })
    yield* attempt(async () => {
      if (!(await box.isVisible())) await page.getByRole("link", { name: "New conversation" }).first().click(brief)
      await box.fill(text, brief)
      await box.press(key, brief)
    })
    return `say ${text}, ${key}`
  })
  const click = Effect.gen(function*() {
    const isOpen = yield* Browser.act(() => page.locator("dialog[open]").count())
    const found = (isOpen > 0 ? page.locator("dialog[open]") : page.locator("#root")).locator(clickable)
    const count = yield* Browser.act(() => found.count())
    if (count === 0) return "click nothing"
    const target = found.nth(yield* between(0, count - 1))
    const text = yield* Browser.act(() => target.textContent(brief).catch(() => ""))
    yield* attempt(() => target.click(brief))
    return `click ${text?.slice(0, 40)}`
  })
  const press = Effect.gen(function*() {
    const key = yield* oneOf(...keys)
    // Keys are shortcuts only while nobody types.
    if (yield* Random.nextBoolean) yield* attempt(() => page.locator("h1").click(brief))
    yield* attempt(() => page.keyboard.press(key))
    return `press ${key}`
  })
  const go = Effect.gen(function*() {
    if (!online || server === undefined) return "stay"
    const route = yield* oneOf(...routes)
    yield* attempt(() => page.goto(address + route))
    return `go to ${route}`
  })
  const turn = Effect.gen(function*() {
    if (!online || server === undefined) return "stay"
    const back = yield* Random.nextBoolean
    yield* attempt(() => back ? page.goBack() : page.reload())
    // Before the first page there is none.
    if (!page.url().startsWith(address)) yield* attempt(() => page.goto(address))
    return back ? "back" : "reload"
  })
  const setOnline = Effect.fnUntraced(function*(now: boolean) {
    online = now
    yield* Browser.act(() => page.context().setOffline(!now))
    return now ? "online" : "offline"
  })
  const start = Effect.gen(function*() {
    server ??= yield* started({ ...settings, PORT: new URL(address).port })
    return "start the server"
  })
  const kill = Effect.gen(function*() {
    yield* Effect.ignore((server ?? first).handle.kill({ killSignal: "SIGKILL" }))
    server = undefined
    return "kill -9"
  })
  const network = Effect.suspend(() => setOnline(!online))
  const power = Effect.suspend(() => server === undefined ? start : kill)
  const any = oneOf(
    ...[say, say, say, say, say] as const,
    ...[click, click, click, click, click, click] as const,
    ...[press, press, press] as const,
    ...[go, turn, network, power] as const
  )
  return {
    any: Effect.flatten(any),
    say,
    /** Kills the server, or starts it. */
    power,
    /** The network is back, and the server. */
    calm: Effect.andThen(start, setOnline(true))
  }
})

/** Waits until the page shows its conversation as it is stored. Returns both if it does not. */
const differences = (page: Page) => Browser.act(() => page.evaluate<ReadonlyArray<string>>(difference))

/** Returns what was wrong, with the steps that led to it. */
export const explore = Effect.fnUntraced(function*({ seed, steps }: Options) {
  const files = yield* FileSystem.FileSystem
  const directory = yield* files.makeTempDirectoryScoped()
  yield* files.writeFileString(`${directory}/script.txt`, script)
  const settings = {
    PERENNIAL_STORE: `sqlite:${directory}/perennial.db`,
    PERENNIAL_SCRIPT: `${directory}/script.txt`,
    PERENNIAL_MAX_REQUESTS: "unlimited"
  }
  const server = yield* started(settings)
  const me = yield* Browser.visitor(yield* Browser.launch)
  const page = yield* me.open(server.address)
  const log: Array<string> = []
  // A browser logs each answer that is a problem. The page may ask for what is not stored yet, or not any more.
  const complaints = () => me.complaints.filter((complaint) => !/status of (404|409) /.test(complaint))
  const findings: Array<string> = []
  const note = (what: string, found: ReadonlyArray<string>) => {
    if (found.length > 0) findings.push(`after step ${log.length}, ${log.at(-1)}: ${what} ${found.join(", ")}`)
  }
  yield* Effect.gen(function*() {
    const { any, calm, power, say } = yield* stepsOf(page, settings, server)
    log.push(yield* say)
    while (log.length < steps && findings.length === 0) {
      // Whatever is drawn, the server dies during one answer at least.
      log.push(yield* log.length === Math.floor(steps / 2) ? Effect.andThen(say, power) : any)
      note("the page has complained:", complaints())
      note("there is twice:", yield* Browser.act(() => page.evaluate<Array<string>>(twice)))
    }
    log.push(yield* calm)
  }).pipe(Random.withSeed(seed))

  if (new URL(page.url()).pathname.startsWith("/c/")) {
    note("the open conversation:", yield* differences(page))
  }
  const { body } = yield* Rest.get(`${server.address}/conversations?limit=100`)
  const items: ReadonlyArray<{ readonly id: string }> = body.items
  yield* Browser.act(() => page.close())
  for (const { id } of items) {
    const other = yield* me.open(`${server.address}/c/${encodeURIComponent(id)}`)
    note(`conversation ${id}:`, yield* differences(other))
    yield* Browser.act(() => other.close())
  }
  note("the page has complained:", complaints())
  return { log, findings, conversations: items.length }
})
