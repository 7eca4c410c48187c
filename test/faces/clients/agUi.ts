/** `HttpAgent` of AG-UI. It has no cursor: the same `runId` is the same run, from its beginning. */
import { HttpAgent, type Message } from "@ag-ui/client"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../../support/rest.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole, completed, type Line } from "../shown.ts"

/** The client has an unhandled rejection at a hard cut: it gets an orderly end in its place. */
const orderly: typeof fetch = async (url, init) => {
  const response = await fetch(url, init)
  const reader = response.body?.getReader()
  if (reader === undefined) return response
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }))
      if (done || value === undefined) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason)
  })
  return new Response(body, { status: response.status, headers: response.headers })
}

const user = (id: string, content: string): Message => ({ id, role: "user", content })

export const make = (address: string, threadId: string, messages: ReadonlyArray<Message> = []) =>
  new HttpAgent({
    url: `${address}/ag-ui`,
    threadId,
    initialMessages: [...messages],
    fetch: (url, init) => orderly(url, init)
  })

interface Resume {
  readonly interruptId: string
  readonly status: "resolved"
  readonly payload: { readonly approved: boolean }
}

/** One connection of a run, and how it ended: undefined if it did not. */
export const run = (agent: HttpAgent, runId: string, resume?: ReadonlyArray<Resume>, onText?: (text: string) => void) =>
  Effect.promise(async () => {
    let end: { readonly outcome: string } | { readonly error: string } | undefined
    const ran = agent.runAgent({ runId, ...(resume === undefined ? {} : { resume: [...resume] }) }, {
      onRunFinishedEvent: ({ outcome }) => {
        end = { outcome }
      },
      onRunErrorEvent: ({ event }) => {
        end = { error: event.message }
      },
      onTextMessageContentEvent: ({ event, textMessageBuffer }) => onText?.(textMessageBuffer + event.delta)
    })
    await ran.catch((error: unknown) => {
      // A cut in the middle of an event.
      if (!(error instanceof SyntaxError)) throw error
    })
    return end
  })

export const say = (agent: HttpAgent, text: string, runId: string, onText?: (text: string) => void) =>
  Effect.suspend(() => {
    agent.addMessage(user(`user-${runId}`, text))
    return run(agent, runId, undefined, onText)
  })

/** A run that has some text. */
export const begin = Effect.fnUntraced(function*(agent: HttpAgent, text: string, runId: string) {
  const begun = Promise.withResolvers<void>()
  const running = yield* Effect.forkChild(say(agent, text, runId, () => begun.resolve()))
  yield* Effect.promise(() => begun.promise)
  return running
})

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Empty thinking is what became void. */
export const lines = (messages: ReadonlyArray<Message>): ReadonlyArray<Line> =>
  messages.flatMap((message): ReadonlyArray<Line> => {
    switch (message.role) {
      case "user":
        return [{ kind: "user", value: String(message.content) }]
      case "assistant":
        return [
          ...(message.content === undefined || message.content === ""
            ? []
            : [{ kind: "text" as const, value: String(message.content) }]),
          ...(message.toolCalls ?? []).map(({ function: { arguments: args, name } }) => ({
            kind: "call" as const,
            value: `${name} ${args}`
          }))
        ]
      case "reasoning":
        return message.content === "" ? [] : [{ kind: "reasoning", value: message.content }]
      case "tool":
        return [{ kind: "result", value: completed(parsed(String(message.content))) }]
      default:
        return []
    }
  })

const whole = (agent: HttpAgent, { address }: Server, kinds?: ReadonlyArray<Line["kind"]>) =>
  assertWhole(lines(agent.messages), address, agent.threadId, kinds)

const success = { outcome: "success" }

/** Cuts the run after `k` events and runs it again. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble"]) {
      for (const k of [1, 2, 3, 5, 7, 8, 11, 13, 16, 21, 27, 34, 50]) {
        const proxy = yield* Proxy.make(server.port, { cut, frames: (stream) => stream === 0 ? k : Infinity })
        const agent = make(proxy.address, `${word} ${k}`)
        const first = yield* say(agent, `${word} ${k}`, `run ${word} ${k}`)
        const isCut = proxy.cuts() > 0 && first === undefined
        if (isCut) assert.deepEqual(yield* run(agent, `run ${word} ${k}`), success)
        assert.equal(proxy.requests().length, isCut ? 2 : 1)
        yield* whole(agent, server)
      }
    }
  })

export const agUi: Client = {
  name: "AG-UI, `HttpAgent`",
  npm: "@ag-ui/client",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      for (const word of ["tell", "look", "stumble"]) {
        const agent = make(server.address, word)
        assert.deepEqual(yield* say(agent, `${word} me`, `run ${word}`), success)
        yield* whole(agent, server)
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const first = make(server.address, "c1")
      const running = yield* begin(first, "wait for it", "r1")
      // The page is loaded again.
      const page = make(server.address, "c1", [user("user-r1", "wait for it")])
      const seen = Promise.withResolvers<void>()
      const again = yield* Effect.forkChild(run(page, "r1", undefined, () => seen.resolve()))
      yield* Effect.promise(() => seen.promise)
      yield* server.gate.open
      assert.deepEqual(yield* Fiber.join(running), success)
      assert.deepEqual(yield* Fiber.join(again), success)
      for (const agent of [first, page]) yield* whole(agent, server)
      // A run that has ended is there, too.
      const late = make(server.address, "c1", [user("user-r1", "wait for it")])
      assert.deepEqual(yield* run(late, "r1"), success)
      yield* whole(late, server)
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const agent = make(server.address, "c1")
      agent.addMessage(user("m1", "hold on"))
      const begun = Promise.withResolvers<void>()
      const running = yield* Effect.forkChild(
        run(agent, "r1", undefined, (text) => text === "I hold on " ? begun.resolve() : undefined)
      )
      yield* Effect.promise(() => begun.promise)
      const { body } = yield* Rest.get(`${server.address}/tasks?conversationId=c1`)
      yield* Rest.post(`${server.address}/tasks/${body.items[0].id}/cancel`)
      assert.deepEqual(yield* Fiber.join(running), { outcome: "cancelled" })
      yield* whole(agent, server)
      assert.deepEqual(yield* say(agent, "tell me", "r2"), success)
      yield* whole(agent, server)
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approved of [true, false]) {
        const agent = make(server.address, String(approved))
        assert.deepEqual(yield* say(agent, "pay it", `run ${approved}`), { outcome: "interrupt" })
        const [interrupt] = agent.pendingInterrupts
        assert(interrupt !== undefined)
        const resume = [{ interruptId: interrupt.id, status: "resolved", payload: { approved } }] as const
        const before = structuredClone(agent.messages)
        const kinds: ReadonlyArray<Line["kind"]> = approved
          ? ["user", "text", "reasoning", "call", "result"]
          : ["user", "text", "reasoning", "call"]
        assert.deepEqual(yield* run(agent, `answer ${approved}`, resume), success)
        assert.deepEqual(agent.pendingInterrupts, [])
        yield* whole(agent, server, kinds)
        // The same run again, as after a cut.
        const again = make(server.address, agent.threadId, before)
        assert.deepEqual(yield* run(again, `answer ${approved}`, resume), success)
        yield* whole(again, server, kinds)
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const agent = make(server.address, "c1")
      assert.deepEqual(yield* say(agent, "fail now", "r1"), { error: "The model provider does not accept the key." })
      yield* whole(agent, server)
      assert.deepEqual(yield* say(agent, "tell me", "r2"), success)
      yield* whole(agent, server)
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const agent = make(server.address, "c1")
      yield* say(agent, "look here", "r1")
      yield* say(agent, "tell me", "r2")
      yield* whole(agent, server)
    })
  }
}
