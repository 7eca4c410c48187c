/**
 * What the file holds of a task, and what the port says of it.
 */
import { AgentId, ConversationId, MessageId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { UserMessage, userText } from "@perennial/domain/Message"
import { isTerminal, Metadata, type Task, TaskStatus } from "@perennial/domain/Task"
import { cancelKey, cancelReason, type Claim, type Head, type Intent, isProgress } from "@perennial/domain/TaskBackend"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { DateTime, Schema } from "effect"

/** What never changes: the `NewTask`, and when it was accepted. */
export const Accepted = Schema.Struct({
  id: TaskId,
  conversationId: ConversationId,
  userId: UserId,
  agentId: AgentId,
  input: UserMessage,
  userMetadata: Schema.optional(Metadata),
  metadata: Schema.optional(Metadata),
  replaces: Schema.optional(MessageId),
  logContext: Schema.optional(Schema.Record(Schema.String, Schema.String)),
  idempotency: Schema.optional(Schema.Struct({ key: Schema.String, requestHash: Schema.String })),
  createdAt: Schema.Natural
})
export type Accepted = typeof Accepted.Type

/** What is left of it when its log is removed: the message is in the conversation, too. */
export const withoutMessage = (task: Accepted): Accepted => ({
  ...task,
  input: userText(""),
  userMetadata: undefined,
  logContext: undefined
})

/** What changes. Times are milliseconds since 1970-01-01T00:00Z. */
export const State = Schema.Struct({
  id: TaskId,
  status: TaskStatus,
  error: Schema.optional(Schema.String),
  /** The owner. Its lease may have run out. */
  runnerId: Schema.optional(RunnerId),
  token: Schema.Natural,
  attempt: Schema.Natural,
  failures: Schema.Natural,
  lastSeq: Schema.Natural,
  intents: Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Json })),
  updatedAt: Schema.Natural,
  startedAt: Schema.optional(Schema.Natural),
  claimedAt: Schema.optional(Schema.Natural),
  finishedAt: Schema.optional(Schema.Natural),
  pruned: Schema.optional(Schema.Boolean)
})
export type State = typeof State.Type

/** One commit. */
export const Change = Schema.Struct({
  accepted: Schema.optional(Accepted),
  states: Schema.optional(Schema.Array(State)),
  events: Schema.optional(Schema.Array(Schema.Struct({ taskId: TaskId, stored: TaskEvent.StoredEvent }))),
  removed: Schema.optional(Schema.Array(TaskId))
})
export type Change = typeof Change.Type

export interface Entry {
  task: Accepted
  state: State
  log: Array<TaskEvent.StoredEvent>
}

/** Before its first event: queued, never claimed. */
export const initial = (id: TaskId): State => ({
  id,
  status: "queued",
  token: 0,
  attempt: 0,
  failures: 0,
  lastSeq: 0,
  intents: [],
  updatedAt: 0
})

/** Appends events to the log of a task. A terminal one ends it, and it has no owner then (P4). */
export const append = (state: State, events: ReadonlyArray<TaskEvent.StoredEvent>, now: number): Change => {
  const grown = {
    ...state,
    lastSeq: state.lastSeq + events.length,
    failures: events.some(isProgress) ? 0 : state.failures,
    updatedAt: now
  }
  const last = events.at(-1)?.event
  const ended = last === undefined || !TaskEvent.isTerminal(last) ? {} : {
    status: TaskEvent.terminalStatus(last),
    error: last.type === "error" ? last.detail : undefined,
    runnerId: undefined,
    finishedAt: now
  }
  return { states: [{ ...grown, ...ended }], events: events.map((stored) => ({ taskId: state.id, stored })) }
}

/** Records what was asked of a task. A cancel ends one that was never claimed. The first of a key stays. */
export const ask = ({ state, task }: Entry, intent: Intent, now: number): Change => {
  if (state.intents.some(({ key }) => key === intent.key)) return {}
  const asked = { ...state, intents: [...state.intents, intent], updatedAt: now }
  if (intent.key !== cancelKey || state.attempt > 0) return { states: [asked] }
  const { conversationId, id: taskId } = task
  const reason = cancelReason(intent.value)
  const event = { type: "cancelled" as const, taskId, conversationId, ...(reason === undefined ? {} : { reason }) }
  return append(asked, [{ seq: state.lastSeq + 1, at: now, event }], now)
}

/** Whether a change ends a task. */
export const ends = ({ states = [] }: Change): boolean => states.some(({ status }) => isTerminal(status))

/** Whether a process that does not have the task's agent may end it: nobody else will. */
export const mayBeEnded = ({ state }: Entry, staleBefore: number): boolean =>
  (state.startedAt ?? state.updatedAt) < staleBefore || state.intents.some(({ key }) => key === cancelKey)

/** Several changes as one commit. */
export const merge = (changes: ReadonlyArray<Change>): Change => ({
  states: changes.flatMap(({ states }) => states ?? []),
  events: changes.flatMap(({ events }) => events ?? [])
})

export const isActive = ({ state }: Pick<Entry, "state">): boolean => !isTerminal(state.status)

export const toTask = ({ state, task }: Entry): Task => ({
  id: task.id,
  conversationId: task.conversationId,
  agentId: task.agentId,
  status: state.status,
  attempt: state.attempt,
  lastSeq: state.lastSeq,
  createdAt: DateTime.makeUnsafe(task.createdAt),
  updatedAt: DateTime.makeUnsafe(state.updatedAt),
  ...(state.error === undefined ? {} : { error: state.error }),
  ...(task.metadata === undefined ? {} : { metadata: task.metadata }),
  ...(task.replaces === undefined ? {} : { replaces: task.replaces })
})

export const toHead = ({ state, task }: Entry): Head => ({
  taskId: task.id,
  conversationId: task.conversationId,
  agentId: task.agentId,
  token: state.token
})

export const toClaim = ({ state, task }: Entry, runnerId: RunnerId): Claim => ({
  taskId: task.id,
  conversationId: task.conversationId,
  userId: task.userId,
  agentId: task.agentId,
  runnerId,
  token: state.token,
  attempt: state.attempt,
  failures: state.failures,
  lastSeq: state.lastSeq,
  input: task.input,
  userMetadata: task.userMetadata,
  metadata: task.metadata,
  replaces: task.replaces,
  logContext: task.logContext,
  createdAt: task.createdAt,
  startedAt: state.startedAt ?? task.createdAt,
  intents: state.intents.length
})
