/** LangGraph's own client, `Client` of `@langchain/langgraph-sdk`: it goes on by itself after a cut, by `Last-Event-ID`. */
import { Client as Sdk, type Message, type StreamMode } from "@langchain/langgraph-sdk"
import { MessageTupleManager } from "@langchain/langgraph-sdk/ui"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole, completed, type Line } from "../shown.ts"

export const connect = (address: string) => new Sdk({ apiUrl: address, apiKey: null })

export const assistant = "assistant"
const modes: Array<StreamMode> = ["values", "messages-tuple", "updates"]

export interface Part {
  readonly id?: string | undefined
  readonly event: string
  // The SDK has a type of data for each event; tests read many.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly data: any
}

export const human = (content: string) => ({ messages: [{ type: "human", content }] })

const isLast = (part: Part | undefined) => part?.event === "end" || part?.event === "error"

/** Reads a stream to its end, and the rest of it where a stream ended without its last event. */
export const follow = async (
  client: Sdk,
  threadId: string,
  stream: AsyncIterable<Part>,
  onPart?: (part: Part) => void
) => {
  const parts: Array<Part> = []
  const collect = async (from: AsyncIterable<Part>) => {
    for await (const part of from) {
      parts.push(part)
      onPart?.(part)
    }
  }
  await collect(stream)
  while (!isLast(parts.at(-1))) {
    const { run_id: runId } = parts.find(({ event }) => event === "metadata")?.data ?? {}
    const lastEventId = parts.findLast(({ id }) => id !== undefined)?.id ?? "-1"
    // oxlint-disable-next-line eslint/no-await-in-loop -- one connection after the other
    await collect(client.runs.joinStream(threadId, runId, { lastEventId, streamMode: modes }))
  }
  return parts
}

export const run = (client: Sdk, threadId: string, payload: object, onPart?: (part: Part) => void) =>
  Effect.promise(() =>
    follow(
      client,
      threadId,
      client.runs.stream(threadId, assistant, { streamMode: modes, ifNotExists: "create", ...payload }),
      onPart
    )
  )

export const say = (client: Sdk, threadId: string, text: string, onPart?: (part: Part) => void) =>
  run(client, threadId, { input: human(text) }, onPart)

/** The messages of the last values. */
export const valuesOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Message> =>
  parts.findLast(({ event }) => event === "values")?.data.messages ?? []

/** What the client's own manager makes of the chunks. */
const chunksOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Message> => {
  const manager = new MessageTupleManager()
  const ids: Array<string> = []
  for (const { data, event } of parts) {
    if (event !== "messages") continue
    const [message, metadata] = structuredClone(data)
    const id = manager.add(message, metadata)
    assert(id !== null)
    if (!ids.includes(id)) ids.push(id)
  }
  return ids.flatMap((id) => {
    const chunk = manager.get(id)?.chunk
    assert(chunk !== undefined)
    if (chunk.getType() === "remove") return []
    const { data, type } = chunk.toDict()
    // As the manager of the client's streams makes messages of chunks.
    return [{ ...data, type } as unknown as Message]
  })
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const textOf = (content: Message["content"]): string => typeof content === "string" ? content : JSON.stringify(content)

export const lines = (messages: ReadonlyArray<Message>): ReadonlyArray<Line> =>
  messages.flatMap((message): ReadonlyArray<Line> => {
    const content = textOf(message.content)
    switch (message.type) {
      case "human":
        return [{ kind: "user", value: content }]
      case "tool":
        return [{ kind: "result", value: message.status === "error" ? "error" : completed(parsed(content)) }]
      case "ai": {
        const thought = message.additional_kwargs?.["reasoning_content"]
        return [
          ...(typeof thought === "string" ? [{ kind: "reasoning" as const, value: thought }] : []),
          ...(content === "" ? [] : [{ kind: "text" as const, value: content }]),
          ...(message.tool_calls ?? []).map(({ args, name }) => ({
            kind: "call" as const,
            value: `${name} ${JSON.stringify(args)}`
          }))
        ]
      }
      default:
        return []
    }
  })

const kinds = ["user", "text", "reasoning", "call", "result"] as const

/** The values of a stream, its chunks, and the state of the thread have what the conversation has. */
export const whole = Effect.fnUntraced(function*(
  { address }: Server,
  threadId: string,
  parts: ReadonlyArray<Part>,
  which: ReadonlyArray<Line["kind"]> = kinds
) {
  yield* assertWhole(lines(valuesOf(parts)), address, threadId, which)
  const { values } = yield* Effect.promise(() =>
    connect(address).threads.getState<{ messages: Array<Message> }>(threadId)
  )
  yield* assertWhole(lines(values.messages), address, threadId, which)
  assert.deepEqual(valuesOf(parts).map(({ id }) => id), values.messages.map(({ id }) => id))
})

/** The chunks of the only run of a thread. */
export const wholeChunks = (
  { address }: Server,
  threadId: string,
  parts: ReadonlyArray<Part>,
  which: ReadonlyArray<Line["kind"]> = kinds
) => assertWhole(lines(chunksOf(parts)), address, threadId, which.filter((kind) => kind !== "user"))

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

/** Resolves when the text of the chunks has this text. */
const until = (text: string) => {
  const seen = Promise.withResolvers<void>()
  let all = ""
  const onPart = ({ data, event }: Part) => {
    if (event !== "messages") return
    all += data[0].content
    if (all.includes(text)) seen.resolve()
  }
  return { onPart, seen: Effect.promise(() => seen.promise) }
}

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
