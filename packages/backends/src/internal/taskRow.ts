/**
 * The row of a task, and the values of the port that are made from a row.
 */
import { AgentId, type ConversationId, type RunnerId, type TaskId, type UserId } from "@perennial/domain/Ids"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import type { Reason } from "@perennial/domain/OwnerLoss"
import type { Task, TaskStatus } from "@perennial/domain/Task"
import type { Claim, Head } from "@perennial/domain/TaskBackend"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import * as TaskSummary from "@perennial/domain/TaskSummary"
import { DateTime, Option } from "effect"

/** Milliseconds: PostgreSQL's BIGINT arrives as a bigint. */
type Millis = number | bigint

/** The columns that most operations read. */
export interface TaskRow {
  readonly id: TaskId
  readonly conversation_id: ConversationId
  readonly user_id: UserId
  readonly agent_id: string
  readonly status: TaskStatus
  /** The code of an error; null where an earlier version stored the detail alone. */
  readonly error_code: string | null
  /** The detail of an error. */
  readonly error: string | null
  readonly spec: string
  /** Null where the log has nothing to show. */
  readonly summary: string | null
  readonly request_hash: string | null
  readonly token: number
  readonly attempt: number
  readonly last_seq: number
  readonly intents: number
  readonly created_at: Millis
  readonly updated_at: Millis
  readonly started_at: Millis | null
  readonly finished_at: Millis | null
}

/** With the columns that only an owner needs. The body of a message may have megabytes. */
export interface ClaimRow extends TaskRow {
  readonly input: string | null
  readonly failures: number
  /** Null where the store does not know. */
  readonly lost_reason: Reason | null
  readonly lost_at: Millis | null
}

/** The code of an error that was stored without one. */
const unknownCode = "Unknown"

/** The text of a JSON column. */
export const toText = (value: unknown): string | null => value === undefined ? null : JSON.stringify(value)

/** Throws when a column cannot be read. */
export const toTask = (row: TaskRow): Task => ({
  id: row.id,
  conversationId: row.conversation_id,
  agentId: AgentId.make(row.agent_id),
  status: row.status,
  attempt: row.attempt,
  lastSeq: row.last_seq,
  createdAt: DateTime.makeUnsafe(Number(row.created_at)),
  updatedAt: DateTime.makeUnsafe(Number(row.updated_at)),
  ...(row.started_at === null ? undefined : { startedAt: DateTime.makeUnsafe(Number(row.started_at)) }),
  ...(row.finished_at === null ? undefined : { endedAt: DateTime.makeUnsafe(Number(row.finished_at)) }),
  ...(row.error === null ? undefined : { error: { code: row.error_code ?? unknownCode, detail: row.error } }),
  ...TaskSummary.toShown(TaskSummary.decode(row.summary), row.status),
  ...TaskSpec.decodeShown(row.spec)
})

const noSpec: TaskSpec.TaskSpec = {}

/** Throws when a column cannot be read, except the message and the spec: other versions may have written these. */
export const toClaim = (row: ClaimRow, runnerId: RunnerId, now: number): Claim => {
  const input = MessagePayload.decodeInput(row.input)
  const spec = TaskSpec.decode(row.spec)
  const unreadable = Option.isNone(input) ? "input" : Option.isNone(spec) ? "spec" : undefined
  return {
    taskId: row.id,
    conversationId: row.conversation_id,
    userId: row.user_id,
    agentId: AgentId.make(row.agent_id),
    runnerId,
    token: row.token,
    attempt: row.attempt,
    failures: row.failures,
    ...(row.lost_reason === null || row.lost_at === null
      ? undefined
      : { lost: { reason: row.lost_reason, at: Number(row.lost_at) } }),
    lastSeq: row.last_seq,
    input: Option.getOrElse(input, () => MessagePayload.unreadableInput),
    spec: Option.getOrElse(spec, () => noSpec),
    ...(unreadable === undefined ? undefined : { unreadable }),
    createdAt: Number(row.created_at),
    startedAt: Number(row.started_at ?? row.updated_at),
    now,
    intents: row.intents
  }
}

export const toHead = (row: Pick<TaskRow, "id" | "conversation_id" | "agent_id" | "token">): Head => ({
  taskId: row.id,
  conversationId: row.conversation_id,
  agentId: AgentId.make(row.agent_id),
  token: row.token
})
