/**
 * Measures the web app under load: a conversation of 10,000 messages is opened, answers of 1,000 deltas a second are written for
 * five minutes, and a person scrolls through all messages.
 *
 *     node examples/evergreen/web/build.ts && node test/evergreen/load.ts [--messages 10000] [--seconds 300] [--rate 1000]
 *
 * It prints the nodes of the document, the heap after a collection, the longest task of the page and the deltas a second, with
 * the load of the machine beside them. While answers are written, the heap of each minute is compared with that of the first one,
 * which begins after 20 seconds: it is the median of samples, because a sample is smaller where an answer begins than where it ends.
 * The command exits with 1 if a limit is passed.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Array as Arr, Clock, Console, Effect, Fiber, FileSystem } from "effect"
import { existsSync } from "node:fs"
import { loadavg } from "node:os"
import { parseArgs } from "node:util"
import type { Browser as Chromium, CDPSession, Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { Failed } from "../worlds/failed.ts"
import * as Browser from "./browser.ts"
import { conversationId, fill, open, piece, scrollUp } from "./longConversation.ts"
import { started } from "./server.ts"

const { values: flags } = parseArgs({
  options: {
    messages: { type: "string", default: "10000" },
    seconds: { type: "string", default: "300" },
    rate: { type: "string", default: "1000" }
  }
})

const messages = Number(flags.messages)
const seconds = Number(flags.seconds)
/** Deltas a second. */
const rate = Number(flags.rate)
/** Seconds after which the heap is compared: until then caches are filled. */
const warm = 20
const minute = 60

const most = { nodes: 300, longTask: 50, heapGrowth: 0.1 }
const least = { rate: 0.95 }

/** Deltas that are sent at once. */
const together = 10

const event = (type: string, data: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, index: 0, ...data })}\n\n`

/** Each answer has some thousand words, and a word is a delta. The deltas are sent by the clock: a late timer loses none of them. */
const makeAnswer = () => {
  let begin: number | undefined
  let sent = 0
  const pace = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    begin ??= now
    sent += together
    return Effect.sleep(Math.max(0, begin + (1_000 * sent) / rate - now))
  })
  const words = Array.from({ length: 40 }, (_, n) => piece(n)).join("\n\n").match(/\S+\s*/g) ?? []
  const deltas = words.map((text) => event("content_block_delta", { delta: { type: "text_delta", text } }))
  return () => ({
    actions: [
      { raw: event("content_block_start", { content_block: { type: "text", text: "", citations: null } }) },
      ...Arr.chunksOf(deltas, together).flatMap((some) => [{ run: pace }, { raw: some.join("") }]),
      { raw: event("content_block_stop", {}) }
    ]
  })
}

interface Sample {
  readonly nodes: number
  /** MiB, after a collection. */
  readonly heap: number
  /** The longest task of the page in milliseconds: as time goes by, and in the time of its thread. */
  readonly wall: number
  readonly thread: number
}

interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly dur?: number
  readonly tdur?: number
}

/** The page makes this mark in a trace: its thread is the one that is measured. The browser has pages of its own. */
const mark = "the page"

/** The longest task of the page in a trace. On a busy machine a task waits for the processor: its thread's time does not count that. */
const longestOf = (trace: Buffer): Pick<Sample, "wall" | "thread"> => {
  const { traceEvents }: { readonly traceEvents: ReadonlyArray<TraceEvent> } = JSON.parse(trace.toString())
  const own = traceEvents.find(({ name }) => name === mark)
  let wall = 0
  let thread = 0
  for (const { dur = 0, name, pid, tdur = 0, tid } of traceEvents) {
    if (!name.endsWith("RunTask") || pid !== own?.pid || tid !== own.tid) continue
    wall = Math.max(wall, dur / 1_000)
    thread = Math.max(thread, tdur / 1_000)
  }
  return { wall, thread }
}

const startTrace = (browser: Chromium, page: Page) =>
  Browser.act(async () => {
    await browser.startTracing(undefined, { categories: ["toplevel", "blink.user_timing"] })
    await page.evaluate(`performance.mark("${mark}")`)
  })

const sample = (browser: Chromium, page: Page, session: CDPSession): Effect.Effect<Sample> =>
  Browser.act(async () => {
    const longest = longestOf(await browser.stopTracing())
    const nodes = await page.evaluate<number>("document.getElementsByTagName('*').length")
    await session.send("HeapProfiler.collectGarbage")
    const { usedSize } = await session.send("Runtime.getHeapUsage")
    return { nodes, heap: usedSize / 1024 ** 2, ...longest }
  })

const every = 5

const median = (samples: ReadonlyArray<Sample>): number =>
  samples.map(({ heap }) => heap).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0

const shown = ({ heap, nodes, thread, wall }: Sample): string =>
  `${nodes} nodes, heap ${heap.toFixed(1)} MiB, longest task ${thread.toFixed(0)} ms (${
    wall.toFixed(0)
  } ms with waits), load ${loadavg()[0]?.toFixed(1)}`

/** One answer after the other, for ever. Counts the words that are written. */
const writeOn = Effect.fnUntraced(function*(address: string, count: (words: number) => void) {
  for (;;) {
    const taskId = yield* Rest.start(address, { message: "Write.", conversationId })
    const connection = yield* Sse.connect(`${address}/tasks/${taskId}/events`)
    yield* Effect.forever(Effect.map(connection.next, ({ data }) => {
      if (data.type === "text") count(String(data["content"]).match(/\S+\s*/g)?.length ?? 0)
    })).pipe(Effect.ignore)
  }
}, Effect.scoped)

/** Jumps to the top as long as there are earlier messages. Each jump brings a page of them. */
const scrollThrough = Effect.fnUntraced(function*(browser: Chromium, page: Page, session: CDPSession) {
  const begin = yield* Clock.currentTimeMillis
  const samples: Array<Sample> = []
  for (let isFirst = false; !isFirst;) {
    yield* startTrace(browser, page)
    const seen = yield* scrollUp(page, Number.MAX_SAFE_INTEGER, 200)
    isFirst = seen.isFirst
    const now = yield* sample(browser, page, session)
    samples.push({ ...now, nodes: Math.max(seen.nodes, now.nodes) })
    const took = Math.round(((yield* Clock.currentTimeMillis) - begin) / 1_000)
    yield* Console.log(`scrolling, ${String(took).padStart(4)} s: at most ${seen.nodes} nodes, ${shown(now)}`)
  }
  return samples
})

const load = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  // The disk is not what is measured.
  const directory = yield* files.makeTempDirectoryScoped(existsSync("/dev/shm") ? { directory: "/dev/shm" } : {})
  yield* fill(`${directory}/perennial.db`, messages)
  const model = yield* FakeAnthropic
  yield* model.otherwise(makeAnswer())
  const { address } = yield* started({
    PERENNIAL_STORE: `sqlite:${directory}/perennial.db`,
    ANTHROPIC_API_KEY: "fake",
    ANTHROPIC_BASE_URL: model.url,
    PERENNIAL_MAX_REQUESTS: "unlimited"
  })
  const browser = yield* Browser.launch
  const me = yield* Browser.visitor(browser)
  const page = yield* me.open("about:blank")
  const session = yield* Browser.act(() => me.context.newCDPSession(page))
  const entry = page.locator(".conversations a").first()
  yield* Browser.act(async () => {
    await page.goto(address)
    await entry.waitFor()
  })
  yield* startTrace(browser, page)
  yield* open(page, `Question ${messages / 2 - 1}?`)
  const opened = yield* sample(browser, page, session)
  yield* Console.log(`${messages} messages are open: ${shown(opened)}`)
  let words = 0
  const writing = yield* Effect.forkScoped(writeOn(address, (more) => {
    words += more
  }))
  yield* Browser.act(() => page.locator("[data-kind=\"status\"]").waitFor())
  const samples: Array<Sample & { readonly at: number; readonly rate: number }> = []
  for (let at = every; at <= seconds; at += every) {
    yield* startTrace(browser, page)
    const before = words
    yield* Effect.sleep(`${every} seconds`)
    const rate = Math.round((words - before) / every)
    const now = yield* sample(browser, page, session)
    samples.push({ ...now, at, rate })
    yield* Console.log(`${String(at).padStart(4)} s: ${rate} deltas/s, ${shown(now)}`)
  }
  yield* Fiber.interrupt(writing)
  yield* Browser.act(() => page.getByRole("button", { name: "Stop" }).waitFor({ state: "hidden" }))
  const scrolled = yield* scrollThrough(browser, page, session)

  const measured = [opened, ...samples, ...scrolled]
  const longest = Math.max(...measured.map(({ thread }) => thread))
  const nodes = Math.max(...measured.map(({ nodes }) => nodes))
  const heaps = Arr.chunksOf(samples.filter(({ at }) => at >= warm || seconds < warm), minute / every).map(median)
  const first = heaps[0] ?? opened.heap
  const last = heaps.at(-1) ?? first
  const growth = Math.max(0, ...heaps.map((heap) => Math.abs(heap - first) / first))
  const mean = Math.round(samples.reduce((sum, { rate }) => sum + rate, 0) / Math.max(1, samples.length))
  yield* Console.log(
    `at most ${nodes} nodes, longest task ${longest.toFixed(0)} ms, heap ${
      first.toFixed(1)
    } MiB in the first minute and ${last.toFixed(1)} MiB in the last one (${(last / first).toFixed(2)} of it, at most ${
      (growth * 100).toFixed(0)
    } % away), ${mean} deltas/s, load ${loadavg()[0]?.toFixed(1)}`
  )
  if (nodes > most.nodes || longest > most.longTask || growth > most.heapGrowth || mean < least.rate * rate) {
    return yield* new Failed({ message: "A limit was passed: 300 nodes, 50 ms, 10 %, 95 % of the deltas." })
  }
})

NodeRuntime.runMain(load.pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))
