/**
 * The row of a task as Redis returns it: texts, in the order of `columns`.
 */
import { ConversationId, MessageId, TaskId, UserId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import type { Head } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Option, Schema } from "effect"
import { encodeEvent } from "./eventPayload.ts"
import { claimColumns, columns } from "./redisPrelude.ts"
import type { HeadValues, Values } from "./redisTaskScripts.ts"
import type { ClaimRow, TaskRow } from "./taskRow.ts"

const Row = Schema.Struct({
  id: TaskId,
  conversation_id: ConversationId,
  user_id: UserId,
  agent_id: Schema.String,
  status: TaskStatus,
  error: Schema.NullOr(Schema.String),
  metadata: Schema.NullOr(Schema.String),
  replaces: Schema.NullOr(MessageId),
  request_hash: Schema.NullOr(Schema.String),
  token: Schema.FiniteFromString,
  attempt: Schema.FiniteFromString,
  last_seq: Schema.FiniteFromString,
  intents: Schema.FiniteFromString,
  created_at: Schema.FiniteFromString,
  updated_at: Schema.FiniteFromString
})
const decodeRow = Schema.decodeUnknownSync(Row)

const decodeClaim = Schema.decodeUnknownSync(Schema.Struct({
  ...Row.fields,
  input: Schema.String,
  user_metadata: Schema.NullOr(Schema.String),
  log_context: Schema.NullOr(Schema.String),
  failures: Schema.FiniteFromString,
  started_at: Schema.NullOr(Schema.FiniteFromString)
}))

const named = (names: ReadonlyArray<string>, values: Values) =>
  Object.fromEntries(names.map((name, i) => [name, values[i] ?? null]))

/** Throws when the row cannot be read. Its other fields are only looked at in scripts. */
export const toRow = (values: Values): TaskRow => decodeRow(named(columns, values))

/** Throws when the row cannot be read. */
export const toClaimRow = (values: Values): ClaimRow => decodeClaim(named(claimColumns, values))

export const toHead = ([taskId, conversationId, agentId, token]: HeadValues): Head => ({
  taskId,
  conversationId,
  agentId,
  token: Number(token)
})

export const toHeadOption = (values: HeadValues | null): Option.Option<Head> =>
  Option.map(Option.fromNullOr(values), toHead)

/** Times and payloads by turns, as scripts take them. */
export const toPayloads = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<string | number> =>
  events.flatMap(({ at, event }) => [at, encodeEvent(event)])
