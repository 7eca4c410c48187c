/**
 * `StreamOrchestrator` of `@langchain/langgraph-sdk/ui`: a page of LangGraph's hooks without a framework. It shows values, chunks, and the
 * state of its thread.
 */
import type { Message } from "@langchain/langgraph-sdk"
import { StreamOrchestrator } from "@langchain/langgraph-sdk/ui"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole, type Line } from "../shown.ts"
import { assistant, connect, human, lines } from "./langGraphRun.ts"

interface State extends Record<string, unknown> {
  messages: Array<Message>
}

export type Page = StreamOrchestrator<State>

/** A page that was loaded for this thread, if it has one. */
export const make = (address: string, threadId?: string): Page => {
  const client = connect(address)
  const page = new StreamOrchestrator<State>({ assistantId: assistant, client, fetchStateHistory: true }, {
    getClient: () => client,
    getAssistantId: () => assistant,
    getMessagesKey: () => "messages"
  })
  page.trackStreamMode("messages-tuple", "custom", "tools")
  page.initThreadId(threadId)
  return page
}

type Submit = NonNullable<Parameters<Page["submit"]>[1]>

/** Submits, and waits for the end of the run. */
export const submit = (page: Page, values: State | null, options: Submit = {}) =>
  Effect.promise(async () => {
    await page.submit(values as never, options)
  })

export const say = (page: Page, text: string, options?: Submit) =>
  submit(page, human(text) as unknown as State, options)

/** Waits for what the page shows. */
export const until = (page: Page, is: (page: Page) => boolean) =>
  Effect.promise(() => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = () => is(page) ? resolve() : undefined
    const stop = page.subscribe(check)
    check()
    return promise.finally(stop)
  })

export const shown = (page: Page): ReadonlyArray<Line> => lines(page.messages as ReadonlyArray<Message>)

export const shows = (text: string) => (page: Page): boolean => shown(page).some(({ value }) => value.includes(text))

const whole = (page: Page, { address }: Server, kinds?: ReadonlyArray<Line["kind"]>) =>
  Effect.gen(function*() {
    assert(page.threadId !== undefined)
    yield* assertWhole(shown(page), address, page.threadId, kinds)
    // A page that is loaded now shows the same, and knows the messages by the same ids.
    const later = make(address, page.threadId)
    yield* until(later, ({ historyData, isThreadLoading }) => !isThreadLoading && historyData.data !== undefined)
    yield* assertWhole(shown(later), address, page.threadId, kinds)
    const ids = ({ messages }: Page) => messages.map(({ id }) => id)
    assert.deepEqual(ids(page), ids(later))
    later.dispose()
  })

/** Cuts the connection after `k` events. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    const cuts = [1, 2, 3, 5, 8, 13, 21, 34].flatMap((k) => ["look", "stumble"].map((word) => ({ word, k })))
    const drop = ({ k, word }: { readonly word: string; readonly k: number }) =>
      Effect.gen(function*() {
        const proxy = yield* Proxy.make(server.port, { cut, frames: (stream) => stream === 0 ? k : Infinity })
        const page = make(proxy.address)
        yield* say(page, `${word} ${k}`, { threadId: `${word} ${k}` })
        assert.equal(page.error, undefined)
        // The thread, the run, the question whether it goes on, the rest of it, and the state of the thread.
        assert.ok(proxy.requests().length <= 5)
        yield* whole(page, server)
      })
    // The client waits for one to two seconds before it connects again.
    yield* Effect.forEach(cuts, drop, { concurrency: "unbounded" })
  })

export const langGraphPage: Client = {
  name: "LangGraph, `StreamOrchestrator`",
  npm: "@langchain/langgraph-sdk",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      for (const word of ["tell", "look", "stumble"]) {
        const page = make(server.address)
        yield* say(page, `${word} me`)
        assert.equal(page.error, undefined)
        yield* whole(page, server)
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const first = make(server.address)
      const running = yield* Effect.forkChild(say(first, "wait for it", { threadId: "c1" }))
      yield* until(first, shows("I begin "))
      // The page is loaded again. A browser has the id of the run in its session.
      const page = make(server.address, "c1")
      const [run] = yield* Effect.promise(() => connect(server.address).runs.list("c1"))
      assert(run !== undefined)
      const again = yield* Effect.forkChild(Effect.promise(() => page.joinStream(run.run_id)))
      yield* until(page, shows("I begin "))
      yield* server.gate.open
      yield* Fiber.join(running)
      yield* Fiber.join(again)
      for (const one of [first, page]) yield* whole(one, server)
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const page = make(server.address)
      const running = yield* Effect.forkChild(say(page, "hold on", { threadId: "c1" }))
      yield* until(page, shows("I hold on "))
      const client = connect(server.address)
      const [run] = yield* Effect.promise(() => client.runs.list("c1"))
      assert(run !== undefined)
      yield* Effect.promise(() => client.runs.cancel("c1", run.run_id))
      yield* Fiber.join(running)
      assert.equal(page.error, undefined)
      yield* whole(page, server)
      yield* say(page, "tell me")
      yield* whole(page, server)
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const type of ["approve", "reject"]) {
        const page = make(server.address)
        yield* say(page, "pay it", { threadId: type })
        const other = make(server.address, type)
        yield* until(other, ({ isThreadLoading }) => !isThreadLoading)
        for (const { interrupts } of [page, other]) {
          assert.equal(interrupts.length, 1)
          assert.match(JSON.stringify(interrupts), /"name":"pay","args":\{"cents":5\}/)
        }
        yield* submit(other, null, { command: { resume: { decisions: [{ type }] } } })
        assert.deepEqual(other.interrupts, [])
        yield* whole(other, server, type === "approve" ? undefined : ["user", "text", "reasoning", "call"])
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const page = make(server.address)
      yield* say(page, "fail now")
      assert.match(String(page.error), /The model provider does not accept the key\./)
      yield* whole(page, server)
      yield* say(page, "tell me")
      assert.equal(page.error, undefined)
      yield* whole(page, server)
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const page = make(server.address)
      yield* say(page, "look here")
      yield* say(page, "tell me")
      yield* whole(page, server)
    })
  }
}
