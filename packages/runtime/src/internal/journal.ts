/**
 * The writing end of one task's log, for as long as this process owns it. Events get their numbers when the writer takes
 * them: before that an interruption withdraws them, after that they are written.
 */
import { AgentError } from "@perennial/domain/Agent"
import type { StoredMessage } from "@perennial/domain/Conversation"
import { type MessageId, messageId } from "@perennial/domain/Ids"
import * as Settlement from "@perennial/domain/Settlement"
import type { Claim } from "@perennial/domain/TaskBackend"
import { type AgentEvent, isBoundary, size, type StoredEvent, type TaskEvent } from "@perennial/domain/TaskEvent"
import { DateTime, type Effect } from "effect"
import type { TaskLimits } from "../TaskLimits.ts"
import type { Batch, Hub } from "./hubs.ts"

/** An event without the number that only the writer knows. */
export type Unnumbered = TaskEvent | AgentEvent

/** Why a process stopped to write to a task it owned: somebody else owns it, or the store failed. */
export type Loss = "fenced" | "store"

/** Who executes the task of a journal. */
export interface JournalOwner {
  /** Called once, when nothing can be written any more. */
  readonly onLoss: (loss: Loss) => void
  /** Called when the store says that so much was asked of the owner. */
  readonly onIntents: (count: number) => Effect.Effect<void>
}

const messageBase = ({ taskId }: Claim, at: number, seq: number) => ({
  id: messageId(taskId, seq),
  taskId,
  createdAt: DateTime.makeUnsafe(at)
})

/** The message that an event adds to the conversation, if any. */
export const toMessage = (claim: Claim, { at, event, seq }: StoredEvent): StoredMessage | undefined => {
  switch (event.type) {
    case "ack":
      return {
        id: event.messageId,
        taskId: claim.taskId,
        createdAt: DateTime.makeUnsafe(at),
        message: claim.input,
        status: "complete",
        ...(claim.userMetadata === undefined ? {} : { metadata: claim.userMetadata })
      }
    case "message":
      return {
        ...messageBase(claim, at, seq),
        message: event.message,
        usage: event.usage,
        status: event.partial === true ? "partial" : "complete"
      }
    case "tool_result":
      return {
        ...messageBase(claim, at, seq),
        message: {
          role: "tool",
          content: [{
            type: "tool_result",
            toolCallId: event.toolCallId,
            tool: event.tool,
            result: event.result,
            status: event.status,
            ...(event.decision === undefined ? {} : { decision: event.decision })
          }]
        },
        status: "complete"
      }
    default:
      return undefined
  }
}

const nothing: ReadonlyArray<StoredMessage> = []

export class Journal {
  readonly claim: Claim
  readonly hub: Hub
  readonly owner: JournalOwner
  readonly #limits: TaskLimits
  unsettled: Settlement.Unsettled = Settlement.empty
  /** Durable messages that the conversation store does not hold yet, oldest first. */
  unstored: ReadonlyArray<StoredMessage> = nothing
  /** The message whose place the first one of this task takes in the conversation store, until it did. */
  replaces: MessageId | undefined
  /** A durable title that the conversation store does not hold yet. */
  title: string | undefined
  /** Refuses late events. */
  closed = false
  /** Refuses late events of the agent: it has ended. */
  sealed = false
  /** The last number that was given. */
  lastSeq: number
  #durableSeq = 0
  #boundary = 0
  #bytes = 0

  constructor(options: {
    readonly claim: Claim
    readonly hub: Hub
    readonly limits: TaskLimits
    readonly owner: JournalOwner
  }) {
    this.claim = options.claim
    this.replaces = options.claim.replaces
    this.hub = options.hub
    this.#limits = options.limits
    this.owner = options.owner
    this.lastSeq = options.claim.lastSeq
  }

  /** Whether events were numbered and are not durable yet. */
  get inFlight(): boolean {
    return this.lastSeq > this.#durableSeq
  }

  /** What is wrong with events of these sizes from an agent, if anything. What the runtime owes to the log is bounded by it. */
  refuse(bytes: number, largest: number): AgentError | undefined {
    if (largest > this.#limits.eventBytes) {
      return new AgentError({
        error: "EventTooLarge",
        detail: `An event of ${largest} bytes is over the limit of ${this.#limits.eventBytes}.`,
        retryable: false
      })
    }
    if (this.#bytes + bytes <= this.#limits.logBytes) return undefined
    return new AgentError({
      error: "LogTooLarge",
      detail: `The log of this task has reached its limit of ${this.#limits.logBytes} bytes.`,
      retryable: false
    })
  }

  /** Numbers events: from here on they will be written, or nothing will. */
  number(events: ReadonlyArray<Unnumbered>, at: number): ReadonlyArray<StoredEvent> {
    const { conversationId, taskId } = this.claim
    return events.map((unnumbered) => {
      const seq = ++this.lastSeq
      const discard = unnumbered.type === "retry" || unnumbered.type === "resumed"
        ? { discardAfter: this.#boundary }
        : undefined
      // `AgentEvent` is `TaskEvent` without the three fields that are added here.
      const event = { ...unnumbered, taskId, conversationId, ...discard } as TaskEvent
      if (isBoundary(event)) this.#boundary = seq
      return { seq, at, event }
    })
  }

  /** Takes note of durable events, whether just written or read back at a recovery. */
  record(events: ReadonlyArray<StoredEvent>): void {
    for (const stored of events) {
      this.unsettled = Settlement.advance(this.unsettled, stored.event)
      this.#bytes += size(stored.event)
      if (isBoundary(stored.event)) this.#boundary = stored.seq
      const message = toMessage(this.claim, stored)
      if (message !== undefined) this.unstored = this.unstored.concat(message)
      if (stored.event.type === "title") this.title = stored.event.title
      this.#durableSeq = stored.seq
    }
  }

  /** The conversation store holds these. */
  stored(messages: ReadonlyArray<StoredMessage>): void {
    this.replaces = undefined
    this.unstored = this.unstored === messages
      ? nothing
      : this.unstored.filter((message) => !messages.includes(message))
  }

  /** Durable events of this process: noted, then shown (P5). */
  publish(batch: Batch) {
    this.record(batch)
    return this.hub.publish(batch)
  }
}
