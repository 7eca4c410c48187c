/** `useChat` with `WorkflowChatTransport`, which reconnects by itself and counts chunks. */
import { WorkflowChatTransport } from "@ai-sdk/workflow/client"
import { type ChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai"
import { Effect } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../../support/rest.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole } from "../shown.ts"
import { assertReady, Chat, lines, type Options, send, until } from "./chat.ts"

/** A chat, and the runs of its responses: the client has no other name of what it has started. */
export const make = (address: string, options: Partial<Options> & { readonly initialStartIndex?: number } = {}) => {
  const runs: Array<string> = []
  const { initialStartIndex = 0 } = options
  const client = new WorkflowChatTransport({
    api: `${address}/ai-sdk/chat`,
    initialStartIndex,
    onChatSendMessage: ({ headers }) => void runs.push(headers.get("x-workflow-run-id") ?? "")
  })
  // Its types are those of the version of `ai` that it was built with.
  const transport = client as unknown as ChatTransport<UIMessage>
  return { chat: new Chat({ id: "page 1", transport, ...options }), runs }
}

type Made = ReturnType<typeof make>

/** The server has chosen the conversation: the id of an answer is that of its task. */
const whole = Effect.fnUntraced(function*({ chat }: Made, { address }: Server) {
  const taskId = chat.messages.findLast(({ role }) => role === "assistant")?.id
  const { body } = yield* Rest.get(`${address}/tasks/${taskId}`)
  yield* assertWhole(lines(chat), address, body.conversationId)
})

const approving = { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses }

/** The client reports each cut on the console. */
const quiet = Effect.acquireRelease(
  Effect.sync(() => {
    const { error } = globalThis.console
    const report = (...args: ReadonlyArray<unknown>) => String(args[0]).startsWith("Error in chat ") || error(...args)
    return Object.assign(globalThis.console, { error: report }) && error
  }),
  (error) => Effect.sync(() => Object.assign(globalThis.console, { error }))
)

/** The client gives up after three cuts in a row that are not orderly, whatever it got in between. */
const everyThirdOrderly = (stream: number): Proxy.Cut => stream % 3 === 2 ? "orderly" : "hard"

/** Cuts every connection after `k` frames. The client begins again where it was. */
const dropped = (cut: Proxy.Options["cut"]) =>
  Effect.fnUntraced(function*(server: Server) {
    yield* quiet
    for (const word of ["look", "stumble", "pay"]) {
      for (const k of [1, 2, 3, 5, 8, 13, 21, 34]) {
        const proxy = yield* Proxy.make(server.port, { cut, frames: () => k })
        const made = make(proxy.address)
        yield* send(made.chat, `${word} ${k}`)
        assertReady(made.chat)
        yield* whole(made, server)
        const [run = ""] = made.runs
        const { frames } = yield* Proxy.read(`${server.address}/ai-sdk/chat/${run}/stream?startIndex=0`)
        // Each connection brings the client forward: nothing is asked twice.
        assert.equal(proxy.requests().length, Math.ceil(frames / k), `${frames} frames, ${k} at a time`)
      }
    }
  })

export const workflow: Client = {
  name: "AI SDK, `WorkflowChatTransport`",
  npm: "@ai-sdk/workflow",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      for (const word of ["tell", "look", "stumble"]) {
        const made = make(server.address)
        yield* send(made.chat, `${word} me`)
        assertReady(made.chat)
        yield* whole(made, server)
      }
    }),
    "dropped hard": dropped(everyThirdOrderly),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const first = make(server.address)
      yield* Effect.forkChild(send(first.chat, "wait for it"))
      yield* until(first.chat, ({ text }) => text === "I begin ")
      // A page asks by the id of its chat: the application gives it the id of the run.
      const [id = ""] = first.runs
      const page = make(server.address, { id, messages: first.chat.messages.slice(0, 1) })
      yield* Effect.forkChild(Effect.promise(() => page.chat.resumeStream()))
      yield* until(page.chat, ({ text }) => text === "I begin ")
      yield* server.gate.open
      for (const made of [first, page]) {
        yield* until(made.chat, ({ status }) => status === "ready")
        yield* whole(made, server)
      }
      // The last chunks alone, which is enough for a page that shows no more.
      const tail = yield* Effect.promise(() => fetch(`${server.address}/ai-sdk/chat/${id}/stream?startIndex=-2`))
      assert.equal(tail.headers.get("x-workflow-stream-tail-index"), "8")
      const text = yield* Effect.promise(() => tail.text())
      assert.deepEqual(text.match(/"type":"[a-z-]+"/g), ["\"type\":\"finish-step\"", "\"type\":\"finish\""])
      const beyond = yield* Rest.get(`${server.address}/ai-sdk/chat/${id}/stream?startIndex=9`)
      assert.equal(beyond.status, 204)
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const made = make(server.address)
      yield* Effect.forkChild(send(made.chat, "hold on"))
      yield* until(made.chat, ({ text }) => text === "I hold on ")
      assert.equal((yield* Rest.post(`${server.address}/ai-sdk/chat/${made.runs[0]}/stop`)).status, 204)
      yield* until(made.chat, ({ status }) => status === "ready")
      yield* whole(made, server)
      yield* send(made.chat, "tell me")
      yield* whole(made, server)
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approved of [true, false]) {
        const made = make(server.address, approving)
        const { chat } = made
        yield* send(chat, "pay it")
        const part = chat.lastMessage?.parts.find((part) => part.type === "dynamic-tool")
        assert(part?.state === "approval-requested")
        chat.addToolApprovalResponse({ id: part.approval.id, approved })
        yield* until(chat, ({ status, text }) => status === "ready" && text.endsWith("done."))
        assert.equal(chat.messages.length, 2)
        assert.equal(new Set(made.runs).size, 2)
        yield* whole(made, server)
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const made = make(server.address)
      yield* send(made.chat, "fail now")
      assert.equal(made.chat.error?.message, "The model provider does not accept the key.")
      yield* whole(made, server)
      yield* send(made.chat, "tell me")
      assertReady(made.chat)
      yield* whole(made, server)
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const made = make(server.address)
      yield* send(made.chat, "look here")
      yield* send(made.chat, "tell me")
      assert.equal(made.chat.messages.length, 4)
      yield* whole(made, server)
    })
  }
}
