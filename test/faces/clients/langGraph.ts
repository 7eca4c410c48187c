/** LangGraph's own client, `Client` of `@langchain/langgraph-sdk`: it goes on by itself after a cut, by `Last-Event-ID`. */
import { Client as Sdk, type Message } from "@langchain/langgraph-sdk"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole } from "../shown.ts"
import {
  assistant,
  connect,
  follow,
  human,
  kinds,
  lines,
  modes,
  type Part,
  run,
  say,
  until,
  valuesOf,
  whole,
  wholeChunks
} from "./langGraphRun.ts"

/** Cuts the first connection, or all of them, after `k` events. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    const cuts = [1, 2, 3, 5, 8, 13, 21, 34, 10].flatMap((k) =>
      ["look", "stumble"].map((word) => ({ word, k, each: k === 10 }))
    )
    // The client waits for one to two seconds before it connects again.
    const drop = ({ each, k, word }: { readonly word: string; readonly k: number; readonly each: boolean }) =>
      Effect.gen(function*() {
        const frames = (stream: number) => each || stream === 0 ? k : Infinity
        const proxy = yield* Proxy.make(server.port, { cut, frames })
        const threadId = `${word} ${k} ${each}`
        const parts = yield* say(connect(proxy.address), threadId, threadId)
        assert.equal(new Set(parts.map(({ id }) => id)).size, parts.length)
        // One request more for each cut, and before it, after an orderly end, the question whether the run goes on.
        assert.ok(proxy.requests().length <= 1 + (cut === "hard" ? 1 : 2) * proxy.cuts())
        yield* whole(server, threadId, parts)
        yield* wholeChunks(server, threadId, parts)
      })
    yield* Effect.forEach(cuts, drop, { concurrency: "unbounded" })
    if (cut === "orderly") yield* goesOn(server)
  })

/** After an orderly end the client asks whether the run goes on, and then for the rest. */
const goesOn = Effect.fnUntraced(function*(server: Server) {
  const proxy = yield* Proxy.make(server.port, { cut: "orderly", frames: (stream) => stream === 0 ? 3 : Infinity })
  const again = Promise.withResolvers<void>()
  const client = new Sdk({
    apiUrl: proxy.address,
    apiKey: null,
    onRequest: (url, init) => {
      if (init.method === "GET" && url.pathname.endsWith("/stream")) again.resolve()
      return init
    }
  })
  const running = yield* Effect.forkChild(say(client, "goes on", "wait for it"))
  yield* Effect.promise(() => again.promise)
  yield* server.gate.open
  const parts = yield* Fiber.join(running)
  assert.equal(statusOf(parts), "success")
  assert.equal(proxy.requests().length, 3)
  yield* whole(server, "goes on", parts)
})

const statusOf = (parts: ReadonlyArray<Part>): unknown => parts.at(-1)?.data.status

const wait = (client: Sdk, threadId: string, text: string) =>
  Effect.promise(async () => {
    const values = await client.runs.wait(threadId, assistant, { input: human(text), ifNotExists: "create" })
    assert("messages" in values)
    // The SDK does not know what the values of an agent are.
    return values["messages"] as ReadonlyArray<Message>
  })

const statusOfThread = (client: Sdk, threadId: string) =>
  Effect.map(Effect.promise(() => client.threads.get(threadId)), ({ status }) => status)

export const langGraph: Client = {
  name: "LangGraph, `Client`",
  npm: "@langchain/langgraph-sdk",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      for (const word of ["tell", "look", "stumble"]) {
        const parts = yield* say(client, word, `${word} me`)
        assert.equal(statusOf(parts), "success")
        yield* whole(server, word, parts)
        yield* wholeChunks(server, word, parts)
        const waited = yield* wait(client, `${word} 2`, `${word} us`)
        yield* assertWhole(lines(waited), server.address, `${word} 2`)
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const first = connect(server.address)
      const begun = until("I begin ")
      const running = yield* Effect.forkChild(say(first, "c1", "wait for it", begun.onPart))
      yield* begun.seen
      // The page is loaded again.
      const page = connect(server.address)
      const [found] = yield* Effect.promise(() => page.runs.list("c1"))
      assert.equal(found?.status, "running")
      assert.equal(yield* statusOfThread(page, "c1"), "busy")
      const seen = until("I begin ")
      const join = (onPart?: (part: Part) => void) =>
        Effect.promise(() =>
          follow(page, "c1", page.runs.joinStream("c1", found.run_id, { streamMode: modes }), onPart)
        )
      const again = yield* Effect.forkChild(join(seen.onPart))
      yield* seen.seen
      yield* server.gate.open
      for (const parts of [yield* Fiber.join(running), yield* Fiber.join(again), yield* join()]) {
        yield* whole(server, "c1", parts)
        yield* wholeChunks(server, "c1", parts)
      }
      const joined = yield* Effect.promise(() => page.runs.join("c1", found.run_id))
      yield* assertWhole(lines((joined as { messages: ReadonlyArray<Message> }).messages), server.address, "c1")
      assert.equal(yield* statusOfThread(page, "c1"), "idle")
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const begun = until("I hold on ")
      const running = yield* Effect.forkChild(say(client, "c1", "hold on", begun.onPart))
      yield* begun.seen
      const [run] = yield* Effect.promise(() => client.runs.list("c1"))
      assert(run !== undefined)
      yield* Effect.promise(() => client.runs.cancel("c1", run.run_id, true))
      yield* Effect.promise(() => client.runs.cancel("c1", run.run_id))
      const parts = yield* Fiber.join(running)
      assert.equal(statusOf(parts), "interrupted")
      yield* whole(server, "c1", parts)
      yield* wholeChunks(server, "c1", parts)
      assert.equal((yield* Effect.promise(() => client.runs.get("c1", run.run_id))).status, "interrupted")
      assert.equal(yield* statusOfThread(client, "c1"), "idle")
      yield* whole(server, "c1", yield* say(client, "c1", "tell me"))
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const type of ["approve", "reject"]) {
        const client = connect(server.address)
        const first = yield* say(client, type, "pay it")
        assert.equal(statusOf(first), "interrupted")
        const [interrupt] = first.findLast(({ event }) => event === "values")?.data.__interrupt__ ?? []
        assert.deepEqual(
          interrupt.value.action_requests.map(({ args, name }: { args: object; name: string }) => [
            name,
            args
          ]),
          [["pay", { cents: 5 }]]
        )
        // Another page: the thread knows the question.
        const page = connect(server.address)
        assert.equal(yield* statusOfThread(page, type), "interrupted")
        const state = yield* Effect.promise(() => page.threads.getState(type))
        assert.deepEqual(state.tasks.flatMap(({ interrupts }) => interrupts), [interrupt])
        const second = yield* run(page, type, { input: null, command: { resume: { decisions: [{ type }] } } })
        assert.equal(statusOf(second), "success")
        const which = type === "approve" ? kinds : ["user", "text", "reasoning", "call"] as const
        yield* whole(server, type, second, which)
        yield* wholeChunks(server, type, [...first, ...second], which)
        yield* Effect.promise(() =>
          assert.rejects(client.runs.wait(type, assistant, { command: { resume: true } }), { status: 400 })
        )
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const parts = yield* say(client, "c1", "fail now")
      const detail = "The model provider does not accept the key."
      assert.equal(parts.at(-1)?.event, "error")
      assert.equal(parts.at(-1)?.data.message, detail)
      yield* whole(server, "c1", parts)
      yield* wholeChunks(server, "c1", parts)
      yield* Effect.promise(() =>
        assert.rejects(client.runs.wait("c1", assistant, { input: human("fail now") }), { message: new RegExp(detail) })
      )
      assert.equal(yield* statusOfThread(client, "c1"), "error")
      yield* whole(server, "c1", yield* say(client, "c1", "tell me"))
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      yield* say(client, "c1", "look here")
      const second = yield* say(client, "c1", "tell me")
      yield* whole(server, "c1", second)
      assert.equal(valuesOf(second).filter(({ type }) => type === "human").length, 2)
    })
  }
}
