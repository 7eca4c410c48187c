/** The chat of the AI SDK, which `useChat` of every framework is a thin layer over. */
import { AbstractChat, type ChatState, type ChatStatus, type ChatTransport, type UIMessage } from "ai"
import { Effect } from "effect"
import assert from "node:assert/strict"
import { completed, type Line } from "../shown.ts"

class State implements ChatState<UIMessage> {
  error: Error | undefined
  messages: Array<UIMessage>
  private current: ChatStatus = "ready"
  private readonly watchers = new Set<() => void>()

  constructor(messages: Array<UIMessage>) {
    this.messages = messages
  }

  get status() {
    return this.current
  }

  set status(status) {
    this.current = status
    this.notify()
  }

  pushMessage = (message: UIMessage) => {
    this.messages = [...this.messages, message]
    this.notify()
  }

  popMessage = () => {
    this.messages = this.messages.slice(0, -1)
  }

  replaceMessage = (index: number, message: UIMessage) => {
    this.messages = this.messages.map((other, i) => i === index ? this.snapshot(message) : other)
    this.notify()
  }

  snapshot = <T>(thing: T): T => structuredClone(thing)

  private notify(): void {
    for (const watcher of this.watchers) watcher()
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return
        this.watchers.delete(check)
        resolve()
      }
      this.watchers.add(check)
      check()
    })
  }
}

export interface Options {
  readonly id: string
  readonly transport: ChatTransport<UIMessage>
  readonly messages?: ReadonlyArray<UIMessage>
  readonly sendAutomaticallyWhen?: (options: { readonly messages: Array<UIMessage> }) => boolean
}

export class Chat extends AbstractChat<UIMessage> {
  private readonly shown: State

  constructor({ id, messages = [], sendAutomaticallyWhen, transport }: Options) {
    const state = new State([...messages])
    super({ id, transport, state, ...(sendAutomaticallyWhen === undefined ? {} : { sendAutomaticallyWhen }) })
    this.shown = state
  }

  /** Waits until the screen satisfies a condition. */
  until(condition: (chat: Chat) => boolean): Promise<void> {
    return this.shown.until(() => condition(this))
  }

  /** The text of the last message. */
  get text(): string {
    return (this.lastMessage?.parts ?? []).map((part) => part.type === "text" ? part.text : "").join("")
  }
}

const lineOf = (role: UIMessage["role"], part: UIMessage["parts"][number]): ReadonlyArray<Line> => {
  switch (part.type) {
    case "text":
      return [{ kind: role === "user" ? "user" : "text", value: part.text }]
    case "reasoning":
      return [{ kind: "reasoning", value: part.text }]
    case "dynamic-tool":
      return [
        { kind: "call", value: `${part.toolName} ${JSON.stringify(part.input)}` },
        ...(part.state === "output-available"
          ? [{ kind: "result" as const, value: completed(part.output) }]
          : part.state === "output-denied" || part.state === "output-error"
          ? [{ kind: "result" as const, value: part.state.slice("output-".length) }]
          : [])
      ]
    default:
      return []
  }
}

/** What the screen shows. */
export const lines = ({ messages }: { readonly messages: ReadonlyArray<UIMessage> }): ReadonlyArray<Line> =>
  messages.flatMap(({ parts, role }) => parts.flatMap((part) => lineOf(role, part)))

/** Sends a message, and returns when its answer has ended. */
export const send = (chat: Chat, text: string): Effect.Effect<void> => Effect.promise(() => chat.sendMessage({ text }))

export const until = (chat: Chat, condition: (chat: Chat) => boolean): Effect.Effect<void> =>
  Effect.promise(() => chat.until(condition))

export const assertReady = (chat: Chat): void => {
  assert.equal(chat.error, undefined)
  assert.equal(chat.status, "ready")
}
