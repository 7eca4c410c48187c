/** `useChat` with its usual transport. It does not reconnect by itself: the application calls `resumeStream`. */
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses, type UIMessage } from "ai"
import { Effect } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../../support/rest.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole } from "../shown.ts"
import { assertReady, Chat, lines, type Options, send, until } from "./chat.ts"

export const make = (address: string, options: Partial<Options> = {}) =>
  new Chat({ id: "c1", transport: new DefaultChatTransport<UIMessage>({ api: `${address}/ai-sdk/chat` }), ...options })

const whole = (chat: Chat, { address }: Server) => assertWhole(lines(chat), address, chat.id)

const resume = (chat: Chat) => Effect.promise(() => chat.resumeStream())

const approving = { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses }

/** Cuts the answer after `k` frames and resumes it, for each `k` until the answer is not cut. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble", "pay"]) {
      for (let k = 0, isCut = true; isCut; k++) {
        const proxy = yield* Proxy.make(server.port, { cut, frames: (stream) => stream === 0 ? k : Infinity })
        const chat = make(proxy.address, { id: `${word} ${k}` })
        yield* send(chat, `${word} ${k}`)
        isCut = proxy.cuts() > 0
        if (cut === "hard" && isCut) assert.equal(chat.status, "error")
        yield* resume(chat)
        assertReady(chat)
        assert.equal(proxy.requests().length, 2)
        yield* whole(chat, server)
      }
    }
  })

export const useChat: Client = {
  name: "AI SDK, `useChat`",
  npm: "ai",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      for (const word of ["tell", "look", "stumble"]) {
        const chat = make(server.address, { id: word })
        yield* send(chat, `${word} me`)
        assertReady(chat)
        yield* whole(chat, server)
        assert.doesNotMatch(chat.text, /void/)
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const first = make(server.address)
      yield* Effect.forkChild(send(first, "wait for it"))
      yield* until(first, ({ text }) => text === "I begin ")
      // The page is loaded again, with and without what it showed.
      const pages = [first.messages, first.messages.slice(0, 1)].map((messages) => make(server.address, { messages }))
      for (const page of pages) yield* Effect.forkChild(resume(page))
      for (const page of pages) yield* until(page, ({ status, text }) => status === "streaming" && text === "I begin ")
      yield* server.gate.open
      for (const chat of [first, ...pages]) {
        yield* until(chat, ({ status }) => status === "ready")
        yield* whole(chat, server)
        assert.equal(chat.messages.length, 2)
      }
      const unknown = make(server.address, { id: "unknown" })
      yield* resume(unknown)
      assertReady(unknown)
      assert.deepEqual(unknown.messages, [])
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const chat = make(server.address)
      yield* Effect.forkChild(send(chat, "hold on"))
      yield* until(chat, ({ text }) => text === "I hold on ")
      assert.equal((yield* Rest.post(`${server.address}/ai-sdk/chat/c1/stop`)).status, 204)
      yield* until(chat, ({ status }) => status === "ready")
      yield* whole(chat, server)
      yield* send(chat, "tell me")
      assertReady(chat)
      yield* whole(chat, server)
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approved of [true, false]) {
        const first = make(server.address, { ...approving, id: String(approved) })
        yield* send(first, "pay it")
        assertReady(first)
        // Another page has the question, too.
        const chat = make(server.address, { ...approving, id: first.id, messages: first.messages.slice(0, 1) })
        yield* resume(chat)
        const part = chat.lastMessage?.parts.find((part) => part.type === "dynamic-tool")
        assert(part?.state === "approval-requested")
        chat.addToolApprovalResponse({ id: part.approval.id, approved })
        yield* until(chat, ({ status, text }) => status === "ready" && text.endsWith("done."))
        assert.equal(chat.messages.length, 2)
        yield* whole(chat, server)
        yield* resume(chat)
        yield* whole(chat, server)
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const chat = make(server.address)
      yield* send(chat, "fail now")
      assert.equal(chat.status, "error")
      assert.equal(chat.error?.message, "The model provider does not accept the key.")
      yield* whole(chat, server)
      yield* send(chat, "tell me")
      assertReady(chat)
      yield* whole(chat, server)
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const chat = make(server.address)
      yield* send(chat, "look here")
      yield* send(chat, "tell me")
      assert.equal(chat.messages.length, 4)
      yield* whole(chat, server)
      // Again, and with another question.
      yield* Effect.promise(() => chat.regenerate())
      yield* whole(chat, server)
      const messageId = chat.messages[0]?.id ?? ""
      yield* Effect.promise(() => chat.sendMessage({ text: "tell me more", messageId }))
      assert.equal(chat.messages.length, 2)
      yield* whole(chat, server)
    })
  }
}
