/**
 * The row of a task as Redis returns it: texts, in the order of `columns`.
 */
import type { EndedTask } from "@perennial/domain/EndedTask"
import * as EventPayload from "@perennial/domain/EventPayload"
import { ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import type { Head } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Option, Schema } from "effect"
import { claimColumns, columns } from "./redisPrelude.ts"
import type { EndedValues, HeadValues, Values } from "./redisTaskScripts.ts"
import { type ClaimRow, type TaskRow, toTask } from "./taskRow.ts"

const Row = Schema.Struct({
  id: TaskId,
  conversation_id: ConversationId,
  user_id: UserId,
  agent_id: Schema.String,
  status: TaskStatus,
  error_code: Schema.NullOr(Schema.String),
  error: Schema.NullOr(Schema.String),
  spec: Schema.String,
  summary: Schema.NullOr(Schema.String),
  request_hash: Schema.NullOr(Schema.String),
  token: Schema.FiniteFromString,
  attempt: Schema.FiniteFromString,
  last_seq: Schema.FiniteFromString,
  intents: Schema.FiniteFromString,
  created_at: Schema.FiniteFromString,
  updated_at: Schema.FiniteFromString,
  started_at: Schema.NullOr(Schema.FiniteFromString),
  finished_at: Schema.NullOr(Schema.FiniteFromString)
})
const decodeRow = Schema.decodeUnknownSync(Row)

const decodeClaim = Schema.decodeUnknownSync(Schema.Struct({
  ...Row.fields,
  input: Schema.NullOr(Schema.String),
  failures: Schema.FiniteFromString,
  lost_reason: Schema.NullOr(Schema.Literals(["crash", "handover", "storeFailure"])),
  lost_at: Schema.NullOr(Schema.FiniteFromString)
}))

const named = (names: ReadonlyArray<string>, values: Values) =>
  Object.fromEntries(names.map((name, i) => [name, values[i] ?? null]))

/** Throws when the row cannot be read. Only scripts read its other fields. */
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

/** Throws when the row cannot be read. */
export const toEnded = ([cursor, values, stored]: EndedValues): EndedTask => {
  const row = toRow(values)
  const ids = { taskId: row.id, conversationId: row.conversation_id }
  return {
    cursor: Number(cursor),
    userId: row.user_id,
    task: toTask(row),
    event: stored === null
      ? undefined
      : { seq: row.last_seq, at: Number(stored[0]), event: EventPayload.decode(stored[1], ids) },
    traceparent: TaskSpec.decodeTraceparent(row.spec)
  }
}

/** Times and payloads by turns, as scripts take them. */
export const toPayloads = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<string | number> =>
  events.flatMap(({ at, event }) => [at, EventPayload.encode(event)])
