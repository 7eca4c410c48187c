/**
 * The writing end of one task's log, while this process owns the task. The group commit numbers events when it takes them. An
 * interruption before that withdraws the events; after that they are written.
 */
import { AgentError } from "@perennial/domain/Agent"
import type { StoredMessage } from "@perennial/domain/Conversation"
import { size } from "@perennial/domain/EventPayload"
import type { MessageId, TaskId } from "@perennial/domain/Ids"
import * as Settlement from "@perennial/domain/Settlement"
import type { Claim } from "@perennial/domain/TaskBackend"
import { type AgentEvent, isBoundary, type StoredEvent, type TaskEvent } from "@perennial/domain/TaskEvent"
import * as TaskSummary from "@perennial/domain/TaskSummary"
import type { Effect } from "effect"
import type { TaskLimits } from "../../TaskLimits.ts"
import type { Publisher } from "../../TaskReaders.ts"
import type { Batch } from "./hub.ts"
import { toStoredMessage } from "./storedMessage.ts"

/** An event without its seq, which only the group commit knows. */
export type Unnumbered = TaskEvent | AgentEvent

/** Why this process may not write to a task any more: another process owns the task, or the store failed. */
export type LossReason = "fenced" | "store"

/** The execution that a log belongs to. */
export interface LogOwner {
  /** Called when this process can no longer write. */
  readonly onLoss: (reason: LossReason) => void
  /** Called with the number of intents that a commit reports. */
  readonly onIntentsReported: (recorded: number) => Effect.Effect<void>
}

/** A child task, and the seq of the event that names it. */
export interface NamedChild {
  readonly taskId: TaskId
  readonly seq: number
}

const nothing: ReadonlyArray<StoredMessage> = []
const childless: ReadonlyMap<string, NamedChild> = new Map()

export class OwnedLog {
  readonly claim: Claim
  readonly #publisher: Publisher
  readonly #limits: TaskLimits
  readonly #owner: LogOwner
  #unsettled: Settlement.Unsettled = Settlement.empty
  #unstored: ReadonlyArray<StoredMessage> = nothing
  #replaces: MessageId | undefined
  #lastStored: MessageId | undefined
  #children = childless
  #title: string | undefined
  #summary = TaskSummary.empty
  /** The summary that the record of the task has. After a recovery it is written once more, with the first events. */
  #shown = TaskSummary.empty
  #isPartial = false
  #closed = false
  #sealed = false
  #lastSeq: number
  #durableSeq = 0
  #boundary = 0
  #bytes = 0

  constructor(options: {
    readonly claim: Claim
    readonly publisher: Publisher
    readonly limits: TaskLimits
    readonly owner: LogOwner
  }) {
    this.claim = options.claim
    this.#replaces = options.claim.spec.replaces
    this.#publisher = options.publisher
    this.#limits = options.limits
    this.#owner = options.owner
    this.#lastSeq = options.claim.lastSeq
  }

  /** The part of the log that is not settled. */
  get unsettled(): Settlement.Unsettled {
    return this.#unsettled
  }

  /** The durable messages that the conversation store does not have yet, oldest first. */
  get unstored(): ReadonlyArray<StoredMessage> {
    return this.#unstored
  }

  /** The message that the task replaces, until the first message of the task is stored in the conversation. */
  get replaces(): MessageId | undefined {
    return this.#replaces
  }

  /** The last message that this execution stored: the conversation has it, unless it was deleted meanwhile. */
  get lastStored(): MessageId | undefined {
    return this.#lastStored
  }

  /** A durable title that the conversation store does not have yet. */
  get title(): string | undefined {
    return this.#title
  }

  /** The child tasks that durable events name, by their tool calls. */
  get children(): ReadonlyMap<string, NamedChild> {
    return this.#children
  }

  get mayHaveChildren(): boolean {
    return this.#isPartial || this.#children.size > 0
  }

  /** Whether a call that names a child has no result: the start of the child may be on its way. */
  get mayStartChildren(): boolean {
    const { calls } = this.#unsettled
    return this.#isPartial || [...this.#children.keys()].some((toolCallId) => calls.has(toolCallId))
  }

  /** The last number that was given. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  /** How many tool calls have no result yet. */
  get openCalls(): number {
    return this.#unsettled.calls.size
  }

  /** Whether some numbered events are not durable yet. */
  get inFlight(): boolean {
    return this.#lastSeq > this.#durableSeq
  }

  /** Refuses all events from now on. */
  close(): void {
    this.#closed = true
  }

  /** Refuses events of the agent from now on, because the agent has ended. */
  seal(): void {
    this.#sealed = true
  }

  isRefused(byAgent: boolean): boolean {
    return this.#closed || (byAgent && this.#sealed)
  }

  /** This process may not write to the log any more. The reason is recorded before an emit ends by interruption. */
  lose(reason: LossReason): void {
    this.#closed = true
    this.#owner.onLoss(reason)
  }

  /** A commit has reported the number of intents. */
  reported(intents: number): Effect.Effect<void> {
    return this.#owner.onIntentsReported(intents)
  }

  /** Why an agent may not write events of these sizes. Undefined if it may. The limits also bound the runtime's own events. */
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

  /** Numbers events. From here on they are written, or the log accepts no further event. */
  number(events: ReadonlyArray<Unnumbered>, at: number): ReadonlyArray<StoredEvent> {
    const { conversationId, taskId } = this.claim
    return events.map((unnumbered) => {
      const seq = ++this.#lastSeq
      const discard = unnumbered.type === "retry" || unnumbered.type === "resumed"
        ? { discardAfter: this.#boundary }
        : undefined
      // `AgentEvent` is `TaskEvent` without the three fields that are added here.
      const event = { ...unnumbered, taskId, conversationId, ...discard } as TaskEvent
      if (isBoundary(event)) this.#boundary = seq
      return { seq, at, event }
    })
  }

  /** The summary of the log with events that are to be written next; undefined if the record of the task has it. */
  summaryWith(events: ReadonlyArray<StoredEvent>): TaskSummary.TaskSummary | undefined {
    const summary = events.reduce(TaskSummary.advance, this.#summary)
    return summary === this.#shown ? undefined : summary
  }

  /** Records durable events: events that were just written, or that a recovery has read. */
  record(events: ReadonlyArray<StoredEvent>): void {
    for (const stored of events) {
      this.#unsettled = Settlement.advance(this.#unsettled, stored.event)
      this.#summary = TaskSummary.advance(this.#summary, stored)
      this.#bytes += size(stored.event)
      if (isBoundary(stored.event)) this.#boundary = stored.seq
      const message = toStoredMessage(this.claim, stored)
      if (message !== undefined) this.#unstored = [...this.#unstored, message]
      if (stored.event.type === "tool_call" && stored.event.childTaskId !== undefined) {
        const child = { taskId: stored.event.childTaskId, seq: stored.seq }
        this.#children = new Map([...this.#children, [stored.event.toolCallId, child]])
      }
      if (stored.event.type === "title") this.#title = stored.event.title
      this.#durableSeq = stored.seq
    }
  }

  /** The log could be read only in part: what follows from the part may be wrong. */
  forget(): void {
    this.#isPartial = true
    this.#unsettled = Settlement.empty
    this.#unstored = nothing
    this.#title = undefined
  }

  /** Durable events of this process: recorded, then shown to readers (P5). */
  publish(batch: Batch): Effect.Effect<void> {
    this.record(batch)
    this.#shown = this.#summary
    return this.#publisher.publish(batch)
  }

  /** The conversation store has these messages. */
  stored(messages: ReadonlyArray<StoredMessage>): void {
    this.#lastStored = messages.at(-1)?.id ?? this.#lastStored
    this.forgo(messages)
  }

  /** The conversation does not need these messages any more, because it has them or does not accept them. */
  forgo(messages: ReadonlyArray<StoredMessage>): void {
    this.#replaces = undefined
    this.#unstored = this.#unstored === messages
      ? nothing
      : this.#unstored.filter((message) => !messages.includes(message))
  }

  /** The conversation store has the title, or does not accept it. */
  titleStored(): void {
    this.#title = undefined
  }
}
