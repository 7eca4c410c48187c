/**
 * The stored form of a task, and the values that the port returns.
 */
import type { EndedTask } from "@perennial/domain/EndedTask"
import * as EventPayload from "@perennial/domain/EventPayload"
import { AgentId, ClaimId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { cancelKey, cancelReason, type Intent } from "@perennial/domain/Intent"
import { UserMessage, userText } from "@perennial/domain/Message"
import { isTerminal, type Task, TaskError, TaskStatus } from "@perennial/domain/Task"
import { type Claim, type Head, isProgress } from "@perennial/domain/TaskBackend"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { TaskSpec, toShown, withoutOwnerFields } from "@perennial/domain/TaskSpec"
import * as TaskSummary from "@perennial/domain/TaskSummary"
import { DateTime, Duration, Schema } from "effect"

/** The fields that never change: the fields of `NewTask`, and the time of acceptance. */
export const Accepted = Schema.Struct({
  id: TaskId,
  conversationId: ConversationId,
  userId: UserId,
  agentId: AgentId,
  input: UserMessage,
  spec: TaskSpec,
  idempotency: Schema.optional(Schema.Struct({ key: Schema.String, requestHash: Schema.String })),
  createdAt: Schema.Natural
})
export type Accepted = typeof Accepted.Type

/** The fields that are kept when the log is removed. The message is removed, because the conversation has it, too. */
export const withoutMessage = (task: Accepted): Accepted => ({
  ...task,
  input: userText(""),
  spec: withoutOwnerFields(task.spec)
})

/** The fields that change. Times are milliseconds since 1970-01-01T00:00Z. */
export const State = Schema.Struct({
  id: TaskId,
  status: TaskStatus,
  error: Schema.optional(TaskError),
  summary: Schema.optional(TaskSummary.TaskSummary),
  /** The owner. Its lease may have run out. */
  runnerId: Schema.optional(RunnerId),
  /** The claim that gave the task its present token. */
  claimId: Schema.optional(ClaimId),
  token: Schema.Natural,
  attempt: Schema.Natural,
  failures: Schema.Natural,
  /** How the task lost its last owner. */
  lost: Schema.optional(
    Schema.Struct({ reason: Schema.Literals(["crash", "handover", "storeFailure"]), at: Schema.Natural })
  ),
  lastSeq: Schema.Natural,
  intents: Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Json })),
  updatedAt: Schema.Natural,
  startedAt: Schema.optional(Schema.Natural),
  claimedAt: Schema.optional(Schema.Natural),
  finishedAt: Schema.optional(Schema.Natural),
  /** The number of the end of the task, in the order of all ends. */
  endCursor: Schema.optional(Schema.Natural),
  pruned: Schema.optional(Schema.Boolean),
  /** The place in the order of heads that wait for an owner. */
  round: Schema.optional(Schema.Natural)
})
export type State = typeof State.Type

/** An event. The text does not repeat the ids of its task. */
export const LogLine = Schema.Struct({ seq: Schema.Natural, at: Schema.Natural, payload: Schema.String })
export type LogLine = typeof LogLine.Type

/** One commit. */
export const Change = Schema.Struct({
  accepted: Schema.optional(Accepted),
  states: Schema.optional(Schema.Array(State)),
  events: Schema.optional(Schema.Array(Schema.Struct({ taskId: TaskId, line: LogLine }))),
  removed: Schema.optional(Schema.Array(TaskId)),
  /** The number of ends so far, at the beginning of a rewritten file. The number of a deleted task is not used again. */
  ends: Schema.optional(Schema.Natural)
})
export type Change = typeof Change.Type

export interface Entry {
  task: Accepted
  state: State
  log: Array<LogLine>
}

/** The state of a new task: queued and never claimed. */
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

/**
 * Appends events to the log of a task. A terminal event ends the task and removes its owner (P4). Without a summary the task
 * keeps its summary.
 */
export const append = (
  state: State,
  events: ReadonlyArray<TaskEvent.StoredEvent>,
  now: number,
  summary = state.summary
): Change => {
  const grown = {
    ...state,
    summary,
    lastSeq: state.lastSeq + events.length,
    failures: events.some(isProgress) ? 0 : state.failures,
    updatedAt: now
  }
  const last = events.at(-1)?.event
  const ended = last === undefined || !TaskEvent.isTerminal(last) ? {} : {
    status: TaskEvent.terminalStatus(last),
    error: last.type === "error" ? { code: last.error, detail: last.detail } : undefined,
    runnerId: undefined,
    finishedAt: now
  }
  const lines = events.map(({ at, event, seq }) => ({ seq, at, payload: EventPayload.encode(event) }))
  return { states: [{ ...grown, ...ended }], events: lines.map((line) => ({ taskId: state.id, line })) }
}

/** Records an intent. A cancel ends a task that was never claimed. The first intent of a key is kept. */
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

/** Whether a process without the agent of the task may end the task. */
export const mayBeEnded = ({ state }: Entry, staleFor: Duration.Duration, now: number): boolean =>
  now - (state.startedAt ?? state.updatedAt) >= Duration.toMillis(staleFor) ||
  state.intents.some(({ key }) => key === cancelKey)

/** The order of heads that wait: in rounds, and in a round oldest first. */
export const inRounds = (a: Entry, b: Entry): number =>
  (a.state.round ?? 0) - (b.state.round ?? 0) || a.task.createdAt - b.task.createdAt

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
  ...(state.startedAt === undefined ? {} : { startedAt: DateTime.makeUnsafe(state.startedAt) }),
  ...(state.finishedAt === undefined ? {} : { endedAt: DateTime.makeUnsafe(state.finishedAt) }),
  ...(state.error === undefined ? {} : { error: state.error }),
  ...TaskSummary.toShown(state.summary ?? TaskSummary.empty, state.status),
  ...toShown(task.spec)
})

/** Whether the task is active, and calls of it wait for a person. */
export const isWaiting = ({ state }: Pick<Entry, "state">): boolean =>
  isActive({ state }) && state.summary !== undefined && TaskSummary.isWaiting(state.summary)

/** An event of the log. */
export const toEvent = ({ task }: Entry, { at, payload, seq }: LogLine): TaskEvent.StoredEvent => ({
  seq,
  at,
  event: EventPayload.decode(payload, { taskId: task.id, conversationId: task.conversationId })
})

/** The end of a task. */
export const toEnded = (entry: Entry): EndedTask => {
  const last = entry.log.at(-1)
  return {
    cursor: entry.state.endCursor ?? 0,
    userId: entry.task.userId,
    task: toTask(entry),
    event: last === undefined ? undefined : toEvent(entry, last),
    traceparent: entry.task.spec.traceparent
  }
}

export const toHead = ({ state, task }: Entry): Head => ({
  taskId: task.id,
  conversationId: task.conversationId,
  agentId: task.agentId,
  token: state.token
})

export const toClaim = ({ state, task }: Entry, runnerId: RunnerId, now: number): Claim => ({
  taskId: task.id,
  conversationId: task.conversationId,
  userId: task.userId,
  agentId: task.agentId,
  runnerId,
  token: state.token,
  attempt: state.attempt,
  failures: state.failures,
  ...(state.lost === undefined ? {} : { lost: state.lost }),
  lastSeq: state.lastSeq,
  input: task.input,
  spec: task.spec,
  createdAt: task.createdAt,
  startedAt: state.startedAt ?? task.createdAt,
  now,
  intents: state.intents.length
})
