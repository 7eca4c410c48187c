/**
 * Measures the web app under load: a conversation of 10,000 messages, in which an answer of 1,000 deltas a second is written.
 *
 *     node test/evergreen/load.ts [--messages 10000] [--seconds 300]
 *
 * It prints the nodes of the document, the heap after a collection, the longest task of the page and the deltas a second, with
 * the load of the machine beside them. The command exits with 1 if a limit is passed.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, MessageId, TaskId, UserId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Console, DateTime, Effect, FileSystem } from "effect"
import { existsSync } from "node:fs"
import { loadavg } from "node:os"
import { parseArgs } from "node:util"
import type { Browser as Chromium, CDPSession, Page } from "playwright-core"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { Failed } from "../worlds/failed.ts"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const { values: flags } = parseArgs({
  options: { messages: { type: "string", default: "10000" }, seconds: { type: "string", default: "300" } }
})

const messages = Number(flags.messages)
const seconds = Number(flags.seconds)

const most = { nodes: 300, longTask: 50, heapGrowth: 0.1 }

const words = (n: number, count: number): string =>
  Array.from({ length: count }, (_, i) => (i % 17 === 0 ? `**word${n + i}**` : `word${n + i}`)).join(" ")

/** What models write: paragraphs, a list, a table and code. */
const piece = (n: number): string =>
  [
    `## Part ${n}`,
    words(n, 60),
    `- ${words(n, 20)}\n- the second\n- the third`,
    `| what | how many |\n| --- | ---: |\n| words | ${n} |`,
    `\`\`\`ts\nconst part = ${n} // a line of code\nconsole.log(part)\n\`\`\``,
    words(n + 7, 60)
  ].join("\n\n")

/** Each answer has some thousand words, a word is a delta, and there is a millisecond between two deltas. */
const answer = {
  actions: [{ drip: 1 }, { text: Array.from({ length: 40 }, (_, n) => piece(n)).join("\n\n").match(/\S+\s*/g) ?? [] }]
}

const conversationId = ConversationId.make("long")

const assistant = (text: string): Message.AssistantMessage => ({ role: "assistant", content: [{ type: "text", text }] })

/** Fills the store, before the server has it. */
const fill = (filename: string) =>
  Effect.gen(function*() {
    const store = yield* ConversationStore
    const createdAt = yield* DateTime.now
    yield* store.create({ id: conversationId, userId: UserId.make("local") })
    for (let from = 0; from < messages; from += 1_000) {
      yield* store.append(
        conversationId,
        Array.from({ length: Math.min(1_000, messages - from) }, (_, i) => {
          const n = Math.floor((from + i) / 2)
          const taskId = TaskId.make(`task-${n}`)
          const common = { taskId, createdAt, status: "complete" } as const
          return (from + i) % 2 === 0
            ? { ...common, id: MessageId.make(`${taskId}/1`), message: Message.userText(`Question ${n}?`) }
            : { ...common, id: MessageId.make(`${taskId}/9`), message: assistant(piece(n)) }
        })
      )
    }
  }).pipe(Effect.provide(SqliteStore.layer({ filename })))

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
  readonly args: { readonly name?: string }
}

const mainThread = "CrRendererMain"

/** The longest task of the pages in a trace. On a busy machine a task waits for the processor: its thread's time does not count that. */
const longestOf = (trace: Buffer): Pick<Sample, "wall" | "thread"> => {
  const { traceEvents }: { readonly traceEvents: ReadonlyArray<TraceEvent> } = JSON.parse(trace.toString())
  const threads = new Set(
    traceEvents.flatMap(({ args, name, pid, tid }) =>
      name === "thread_name" && args.name === mainThread ? [`${pid} ${tid}`] : []
    )
  )
  let wall = 0
  let thread = 0
  for (const { dur = 0, name, pid, tdur = 0, tid } of traceEvents) {
    if (!name.endsWith("RunTask") || !threads.has(`${pid} ${tid}`)) continue
    wall = Math.max(wall, dur / 1_000)
    thread = Math.max(thread, tdur / 1_000)
  }
  return { wall, thread }
}

const startTrace = (browser: Chromium) =>
  Browser.act(() => browser.startTracing(undefined, { categories: ["toplevel"] }))

const sample = (browser: Chromium, page: Page, session: CDPSession): Effect.Effect<Sample> =>
  Browser.act(async () => {
    const longest = longestOf(await browser.stopTracing())
    const nodes = await page.evaluate<number>("document.getElementsByTagName('*').length")
    await session.send("HeapProfiler.collectGarbage")
    const { usedSize } = await session.send("Runtime.getHeapUsage")
    return { nodes, heap: usedSize / 1024 ** 2, ...longest }
  })

const every = 5

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

const load = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  // The disk is not what is measured.
  const directory = yield* files.makeTempDirectoryScoped(existsSync("/dev/shm") ? { directory: "/dev/shm" } : {})
  yield* fill(`${directory}/perennial.db`)
  const model = yield* FakeAnthropic
  yield* model.otherwise(() => answer)
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
  yield* startTrace(browser)
  yield* Browser.act(async () => {
    await entry.click()
    await page.locator("[data-kind=\"end\"]").last().waitFor()
  })
  const opened = yield* sample(browser, page, session)
  yield* Console.log(`${messages} messages are open: ${shown(opened)}`)
  let words = 0
  yield* Effect.forkScoped(writeOn(address, (more) => {
    words += more
  }))
  yield* Browser.act(() => page.locator("[data-kind=\"status\"]").waitFor())
  const samples: Array<Sample> = []
  for (let at = every; at <= seconds; at += every) {
    yield* startTrace(browser)
    const before = words
    yield* Effect.sleep(`${every} seconds`)
    const rate = Math.round((words - before) / every)
    const now = yield* sample(browser, page, session)
    samples.push(now)
    yield* Console.log(`${String(at).padStart(4)} s: ${rate} deltas/s, ${shown(now)}`)
  }
  const longest = Math.max(opened.thread, ...samples.map(({ thread }) => thread))
  const nodes = Math.max(opened.nodes, ...samples.map(({ nodes }) => nodes))
  const first = samples[0]?.heap ?? opened.heap
  const growth = Math.max(...samples.map(({ heap }) => Math.abs(heap - first) / first))
  yield* Console.log(
    `at most ${nodes} nodes, longest task ${longest.toFixed(0)} ms, heap ${first.toFixed(1)} MiB +- ${
      (growth * 100).toFixed(0)
    } %`
  )
  if (nodes > most.nodes || longest > most.longTask || growth > most.heapGrowth) {
    return yield* new Failed({ message: "A limit was passed: 300 nodes, 50 ms, 10 %." })
  }
})

NodeRuntime.runMain(load.pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))
