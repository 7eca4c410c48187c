/**
 * What PostgreSQL is asked with every message of a conversation: each a statement that callers share. Rows are locked and
 * looked up as in `pgTasks.ts`.
 */
import type { ConversationKey } from "@perennial/domain/ConversationStore"
import type { ConversationId, MessageId } from "@perennial/domain/Ids"
import { Effect, type Scope } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { byItem, rowsOf } from "./pgInput.ts"
import * as SharedStatement from "./sharedStatement.ts"
import { storeTime } from "./sqlPersistence.ts"

/** The row of a conversation. */
export interface ConversationRow {
  readonly id: ConversationId
  readonly user_id: string
  readonly title: string | null
  readonly last_position: number
  readonly created_at: number | bigint
  readonly updated_at: number | bigint
}

/** Messages for the end of a conversation. */
export interface Adding {
  readonly id: ConversationId
  readonly messages: ReadonlyArray<{ readonly id: MessageId; readonly payload: string }>
}

export interface Reading extends ConversationKey {
  readonly after?: MessageId | undefined
  readonly limit: number
}

/** A conversation, and a message of it if there is one. */
export interface MessageRow {
  readonly payload: string | null
}

export interface PgConversations {
  /** Creates a conversation or finds the user's own. */
  readonly createOrFind: SharedStatement.SharedStatement<ConversationKey, ConversationRow | undefined>
  /** Whether there is such a conversation. A message that is there already leaves a gap between positions. */
  readonly append: SharedStatement.SharedStatement<Adding, boolean>
  readonly messages: SharedStatement.SharedStatement<Reading, ReadonlyArray<MessageRow>>
}

const createOrFind = (
  sql: SqlClient.SqlClient,
  now: Statement.Fragment
): SharedStatement.Ask<ConversationKey, ConversationRow | undefined> =>
(keys) => {
  const given = rowsOf(sql, keys, { id: ["text", ({ id }) => id], user_id: ["text", ({ userId }) => userId] })
  // Most are there already, which is found in the same round trip.
  const found = sql<ConversationRow>`WITH input AS MATERIALIZED (
      SELECT * FROM ${given} ORDER BY id
    ), created AS (
      INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
      SELECT id, user_id, ${now}, ${now} FROM input ON CONFLICT (id) DO NOTHING RETURNING *
    ) SELECT * FROM created UNION ALL SELECT c.* FROM input i
      CROSS JOIN LATERAL (SELECT * FROM perennial_conversations WHERE id = i.id AND user_id = i.user_id LIMIT 1) c`
  return Effect.map(found, (rows) => {
    const byId = new Map(rows.map((row) => [row.id, row]))
    return ({ id, userId }) => {
      const row = byId.get(id)
      return row?.user_id === userId ? row : undefined
    }
  })
}

const append = (sql: SqlClient.SqlClient, now: Statement.Fragment): SharedStatement.Ask<Adding, boolean> => (asked) => {
  const counts = new Map<ConversationId, number>()
  const added = asked.flatMap(({ id, messages }) => {
    const before = counts.get(id) ?? 0
    counts.set(id, before + messages.length)
    return messages.map((message, i) => ({ ...message, conversationId: id, ordinal: before + i + 1 }))
  })
  const given = rowsOf(sql, [...counts], { id: ["text", ([id]) => id], added: ["int", ([, added]) => added] })
  const newMessages = rowsOf(sql, added, {
    conversation_id: ["text", (message) => message.conversationId],
    ordinal: ["int", (message) => message.ordinal],
    id: ["text", (message) => message.id],
    payload: ["text", (message) => message.payload]
  })
  const changed = sql<Pick<ConversationRow, "id">>`WITH input AS MATERIALIZED (
      SELECT i.* FROM (SELECT * FROM ${given} ORDER BY id) i
      CROSS JOIN LATERAL (SELECT FROM perennial_conversations WHERE id = i.id FOR UPDATE) c
    ), conversation AS (
      UPDATE perennial_conversations c SET last_position = last_position + i.added, updated_at = ${now}
      FROM input i WHERE c.id = i.id RETURNING c.id, c.last_position - i.added AS position
    ), message AS (
      INSERT INTO perennial_messages (conversation_id, position, id, payload)
      SELECT c.id, c.position + i.ordinal, i.id, i.payload
      FROM conversation c JOIN ${newMessages} ON i.conversation_id = c.id
      ON CONFLICT (conversation_id, id) DO NOTHING
    ) SELECT id FROM conversation`
  return Effect.map(changed, (rows) => {
    const ids = new Set(rows.map((row) => row.id))
    return ({ id }) => ids.has(id)
  })
}

const messages = (sql: SqlClient.SqlClient): SharedStatement.Ask<Reading, ReadonlyArray<MessageRow>> => (asked) => {
  const given = rowsOf(sql, asked, {
    item: ["int", (_, i) => i],
    id: ["text", ({ id }) => id],
    user_id: ["text", ({ userId }) => userId],
    after: ["text", ({ after }) => after ?? ""],
    most: ["int", ({ limit }) => limit]
  })
  const found = sql<MessageRow & { readonly item: number }>`SELECT i.item, m.payload FROM ${given}
    CROSS JOIN LATERAL (SELECT FROM perennial_conversations WHERE id = i.id AND user_id = i.user_id LIMIT 1) c
    LEFT JOIN LATERAL (
      SELECT position, payload FROM perennial_messages
      -- An unknown or removed message has no position, and nothing is greater than that.
      WHERE conversation_id = i.id AND position > CASE WHEN i.after = '' THEN 0 ELSE (SELECT position
        FROM perennial_messages WHERE conversation_id = i.id AND id = i.after AND position > 0) END
      ORDER BY position LIMIT i.most
    ) m ON TRUE
    ORDER BY i.item, m.position`
  return Effect.map(found, byItem)
}

/** Histories in one answer: messages may hold files. */
const histories = 8

export const make = Effect.fnUntraced(
  function*(sql: SqlClient.SqlClient): Effect.fn.Return<PgConversations, never, Scope.Scope> {
    const now = yield* storeTime(sql)
    return {
      createOrFind: yield* SharedStatement.make(sql, { ask: createOrFind(sql, now) }),
      append: yield* SharedStatement.make(sql, {
        ask: append(sql, now),
        size: ({ messages }) => messages.reduce((sum, { payload }) => sum + payload.length, 0)
      }),
      messages: yield* SharedStatement.make(sql, { ask: messages(sql), shares: histories })
    }
  }
)
