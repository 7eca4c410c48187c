/**
 * The row of a task as Redis returns it: texts, in the order of `columns`.
 */
import { ConversationId, MessageId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import type { Head } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Option, Schema } from "effect"
import { encodeEvent } from "./eventPayload.ts"
import { columns } from "./redisPrelude.ts"
import type { HeadValues, Values } from "./redisTaskScripts.ts"
import type { PortRow } from "./taskRow.ts"

const decode = Schema.decodeUnknownSync(Schema.Struct({
  id: TaskId,
  conversation_id: ConversationId,
  user_id: UserId,
  agent_id: Schema.String,
  status: TaskStatus,
  error: Schema.NullOr(Schema.String),
  input: Schema.String,
  user_metadata: Schema.NullOr(Schema.String),
  metadata: Schema.NullOr(Schema.String),
  replaces: Schema.NullOr(MessageId),
  log_context: Schema.NullOr(Schema.String),
  runner_id: Schema.NullOr(RunnerId),
  token: Schema.FiniteFromString,
  attempt: Schema.FiniteFromString,
  failures: Schema.FiniteFromString,
  last_seq: Schema.FiniteFromString,
  intents: Schema.FiniteFromString,
  pruned: Schema.FiniteFromString,
  created_at: Schema.FiniteFromString,
  updated_at: Schema.FiniteFromString,
  started_at: Schema.NullOr(Schema.FiniteFromString),
  finished_at: Schema.NullOr(Schema.FiniteFromString)
}))

/** Throws when the row cannot be read. Its other fields are only looked at in scripts. */
export const toRow = (values: Values): PortRow =>
  decode(Object.fromEntries(columns.map((name, i) => [name, values[i] ?? null])))

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
