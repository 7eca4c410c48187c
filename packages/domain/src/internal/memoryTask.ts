/**
 * A task and a conversation as the memory backend keeps them.
 */
import { DateTime, Option } from "effect"
import type { ClaimId, RunnerId, UserId } from "../Ids.ts"
import type { Intent } from "../Intent.ts"
import { userText } from "../Message.ts"
import type { OwnerLoss } from "../OwnerLoss.ts"
import type { RunnerAbout } from "../Runner.ts"
import type { Task, TaskError, TaskStatus } from "../Task.ts"
import type { Claim, Head, NewTask } from "../TaskBackend.ts"
import type { StoredEvent } from "../TaskEvent.ts"
import { toShown, withoutOwnerFields } from "../TaskSpec.ts"
import * as TaskSummary from "../TaskSummary.ts"

/** One task. `log` holds the events as they were given, event `seq` at index `seq - 1`; undefined once pruned. */
export interface Row {
  task: NewTask
  readonly queue: ConversationQueue
  readonly createdAt: number
  updatedAt: number
  startedAt: number | undefined
  claimedAt: number
  finishedAt: number | undefined
  /** The place of its end among all ends; 0 while it is active. */
  endCursor: number
  status: TaskStatus
  error: TaskError | undefined
  summary: TaskSummary.TaskSummary
  runnerId: RunnerId | undefined
  /** The claim that gave the task its present token. */
  claimId: ClaimId | undefined
  token: number
  attempt: number
  failures: number
  /** How it lost its last owner. */
  lost: OwnerLoss | undefined
  lastSeq: number
  /** Its place in the order of heads that wait: set when it becomes a head. */
  round: number
  log: Array<StoredEvent> | undefined
  intents: ReadonlyArray<Intent>
}

/** The tasks of one conversation in the order of acceptance. The first of `active` is the head. */
export interface ConversationQueue {
  readonly userId: UserId
  rows: Array<Row>
  active: Array<Row>
}

const none: ReadonlyArray<Intent> = []

/** One more element. A short array is copied: `push` would make room for 16 more. */
export const added = <A extends object>(array: Array<A>, element: A): Array<A> => {
  if (array.length < 4) return array.concat(element)
  array.push(element)
  return array
}

export const makeQueue = (userId: UserId): ConversationQueue => ({ userId, rows: [], active: [] })

export const makeRow = (task: NewTask, queue: ConversationQueue, now: number, ack: StoredEvent): Row => ({
  task,
  queue,
  createdAt: now,
  updatedAt: now,
  startedAt: undefined,
  claimedAt: 0,
  finishedAt: undefined,
  endCursor: 0,
  status: "queued",
  error: undefined,
  summary: TaskSummary.empty,
  runnerId: undefined,
  claimId: undefined,
  token: 0,
  attempt: 0,
  failures: 0,
  lost: undefined,
  lastSeq: ack.seq,
  round: 0,
  log: [ack],
  intents: none
})

/** Removes the log and the data that only an owner needs. The message is in the conversation, too. */
export const forget = (row: Row): void => {
  row.log = undefined
  row.intents = none
  row.task = { ...row.task, input: userText(""), spec: withoutOwnerFields(row.task.spec) }
}

export const isHead = (row: Row): boolean => row.queue.active[0] === row

export const toTask = (row: Row): Task => ({
  id: row.task.id,
  conversationId: row.task.conversationId,
  agentId: row.task.agentId,
  status: row.status,
  attempt: row.attempt,
  lastSeq: row.lastSeq,
  createdAt: DateTime.makeUnsafe(row.createdAt),
  updatedAt: DateTime.makeUnsafe(row.updatedAt),
  ...(row.startedAt === undefined ? undefined : { startedAt: DateTime.makeUnsafe(row.startedAt) }),
  ...(row.finishedAt === undefined ? undefined : { endedAt: DateTime.makeUnsafe(row.finishedAt) }),
  ...(row.error === undefined ? undefined : { error: row.error }),
  ...TaskSummary.toShown(row.summary, row.status),
  ...toShown(row.task.spec)
})

export const toHead = (row: Row): Head => ({
  taskId: row.task.id,
  conversationId: row.task.conversationId,
  agentId: row.task.agentId,
  token: row.token
})

export const toClaim = (row: Row, runnerId: RunnerId, now: number): Claim => ({
  taskId: row.task.id,
  conversationId: row.task.conversationId,
  userId: row.task.userId,
  agentId: row.task.agentId,
  runnerId,
  token: row.token,
  attempt: row.attempt,
  failures: row.failures,
  ...(row.lost === undefined ? undefined : { lost: row.lost }),
  lastSeq: row.lastSeq,
  input: row.task.input,
  spec: row.task.spec,
  createdAt: row.createdAt,
  startedAt: row.startedAt ?? row.claimedAt,
  now,
  intents: row.intents.length
})

export const intentValue = (row: Row, key: string): Option.Option<Intent["value"]> =>
  Option.map(Option.fromUndefinedOr(row.intents.find((intent) => intent.key === key)), (intent) => intent.value)

/** The lease of a runner. Times are milliseconds. */
export interface MemoryLease {
  readonly since: number
  readonly renewed: number
  readonly expires: number
  readonly about: RunnerAbout | undefined
}
