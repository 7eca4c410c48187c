/**
 * The row of a task, and what the port makes of it.
 */
import {
  AgentId,
  type ConversationId,
  type MessageId,
  type RunnerId,
  type TaskId,
  type UserId
} from "@perennial/domain/Ids"
import { UserMessage } from "@perennial/domain/Message"
import { Metadata, type Task, type TaskStatus } from "@perennial/domain/Task"
import type { Claim, Head } from "@perennial/domain/TaskBackend"
import { DateTime, Schema } from "effect"

/** Milliseconds: PostgreSQL's BIGINT arrives as a bigint. */
type Millis = number | bigint

/** What most operations read of the row of a task, in columns of these names. */
export interface TaskRow {
  readonly id: TaskId
  readonly conversation_id: ConversationId
  readonly user_id: UserId
  readonly agent_id: string
  readonly status: TaskStatus
  readonly error: string | null
  readonly metadata: string | null
  readonly replaces: MessageId | null
  readonly request_hash: string | null
  readonly token: number
  readonly attempt: number
  readonly last_seq: number
  readonly intents: number
  readonly created_at: Millis
  readonly updated_at: Millis
}

/** What only an owner needs. The body of a message may have megabytes. */
export interface ClaimRow extends TaskRow {
  readonly input: string
  readonly user_metadata: string | null
  readonly log_context: string | null
  readonly failures: number
  readonly started_at: Millis | null
}

const decodeInput = Schema.decodeSync(Schema.fromJsonString(UserMessage))
const decodeMetadata = Schema.decodeSync(Schema.fromJsonString(Metadata))
const decodeContext = Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)))

const optional = <A>(text: string | null, decode: (text: string) => A): A | undefined =>
  text === null ? undefined : decode(text)

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
  ...(row.error === null ? undefined : { error: row.error }),
  ...(row.metadata === null ? undefined : { metadata: decodeMetadata(row.metadata) }),
  ...(row.replaces === null ? undefined : { replaces: row.replaces })
})

/** Throws when a column cannot be read. */
export const toClaim = (row: ClaimRow, runnerId: RunnerId): Claim => ({
  taskId: row.id,
  conversationId: row.conversation_id,
  userId: row.user_id,
  agentId: AgentId.make(row.agent_id),
  runnerId,
  token: row.token,
  attempt: row.attempt,
  failures: row.failures,
  lastSeq: row.last_seq,
  input: decodeInput(row.input),
  userMetadata: optional(row.user_metadata, decodeMetadata),
  metadata: optional(row.metadata, decodeMetadata),
  replaces: row.replaces ?? undefined,
  logContext: optional(row.log_context, decodeContext),
  createdAt: Number(row.created_at),
  startedAt: Number(row.started_at ?? row.updated_at),
  intents: row.intents
})

export const toHead = (row: Pick<TaskRow, "id" | "conversation_id" | "agent_id" | "token">): Head => ({
  taskId: row.id,
  conversationId: row.conversation_id,
  agentId: AgentId.make(row.agent_id),
  token: row.token
})
