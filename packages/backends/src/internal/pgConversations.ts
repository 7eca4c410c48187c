/**
 * The statements of PostgreSQL on conversations. Concurrent calls of each are batched. Rows are locked and looked up as in
 * `pgBatchedStatements.ts`.
 */
import type { ConversationKey } from "@perennial/domain/ConversationStore"
import type { ConversationId } from "@perennial/domain/Ids"
import { Effect, type Scope } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import * as BatchedStatement from "./batchedStatement.ts"
import {
  type Adding,
  conversationColumns,
  type ConversationStatements,
  readConversations,
  type Reading,
  readMessages
} from "./conversationStatements.ts"
import { byItem, rowsOf } from "./pgInput.ts"

type Run<A> = BatchedStatement.Run<A, ReadonlyArray<object>>

/** Most conversations exist already: the same statement finds them. */
const create = (sql: SqlClient.SqlClient, now: Statement.Fragment): Run<ConversationKey> => (keys) => {
  const given = rowsOf(sql, keys, {
    item: ["int", (_, i) => i],
    id: ["text", ({ id }) => id],
    user_id: ["text", ({ userId }) => userId]
  })
  const columns = conversationColumns(sql)
  const found = sql`WITH input AS MATERIALIZED (
      SELECT * FROM ${given} ORDER BY id
    ), created AS (
      INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
      SELECT id, user_id, ${now}, ${now} FROM input ON CONFLICT (id) DO NOTHING RETURNING ${columns}
    ) SELECT i.item, c.* FROM input i JOIN created c ON c.id = i.id AND c.user_id = i.user_id
    UNION ALL SELECT i.item, c.* FROM input i CROSS JOIN LATERAL (
      SELECT ${columns} FROM perennial_conversations WHERE id = i.id AND user_id = i.user_id LIMIT 1) c`
  return Effect.map(found, byItem)
}

const append =
  (sql: SqlClient.SqlClient, now: Statement.Fragment): BatchedStatement.Run<Adding, boolean> => (items) => {
    const changes = new Map<ConversationId, { readonly added: number; readonly preview: string }>()
    const added = items.flatMap(({ id, messages, preview }) => {
      const { added: before, preview: earlier } = changes.get(id) ?? { added: 0, preview: "" }
      changes.set(id, { added: before + messages.length, preview: preview === "" ? earlier : preview })
      return messages.map((message, i) => ({ ...message, conversationId: id, ordinal: before + i + 1 }))
    })
    const given = rowsOf(sql, [...changes], {
      id: ["text", ([id]) => id],
      added: ["int", ([, { added }]) => added],
      preview: ["text", ([, { preview }]) => preview]
    })
    const newMessages = rowsOf(sql, added, {
      conversation_id: ["text", (message) => message.conversationId],
      ordinal: ["int", (message) => message.ordinal],
      id: ["text", (message) => message.id],
      payload: ["text", (message) => message.payload]
    })
    const newWords = rowsOf(sql, items.flatMap(({ id, words }) => words.map((word) => ({ id, word }))), {
      conversation_id: ["text", ({ id }) => id],
      word: ["text", ({ word }) => word]
    })
    const followed = rowsOf(sql, items.filter(({ follows }) => follows !== undefined), {
      conversation_id: ["text", ({ id }) => id],
      id: ["text", ({ follows }) => follows ?? ""]
    })
    // If one of several calls for a conversation follows an unknown message, none of them is done. They are repeated.
    const changed = sql`WITH input AS MATERIALIZED (
      SELECT g.* FROM (SELECT * FROM ${given} ORDER BY id) g
      CROSS JOIN LATERAL (SELECT FROM perennial_conversations WHERE id = g.id FOR UPDATE) c
      WHERE NOT EXISTS (
        SELECT FROM ${followed} LEFT JOIN LATERAL (
          SELECT id FROM perennial_messages WHERE conversation_id = i.conversation_id AND id = i.id LIMIT 1
        ) m ON TRUE WHERE i.conversation_id = g.id AND m.id IS NULL)
    ), conversation AS (
      UPDATE perennial_conversations c SET last_position = last_position + i.added, updated_at = ${now},
        preview = COALESCE(NULLIF(i.preview, ''), c.preview)
      FROM input i WHERE c.id = i.id RETURNING c.id, c.last_position - i.added AS position
    ), message AS (
      INSERT INTO perennial_messages (conversation_id, position, id, payload)
      SELECT c.id, c.position + i.ordinal, i.id, i.payload
      FROM conversation c JOIN ${newMessages} ON i.conversation_id = c.id
      ON CONFLICT (conversation_id, id) DO NOTHING
    ), word AS (
      INSERT INTO perennial_conversation_words (conversation_id, word)
      SELECT c.id, i.word FROM conversation c JOIN ${newWords} ON i.conversation_id = c.id
      ON CONFLICT DO NOTHING
    ) SELECT id FROM conversation`
    return Effect.map(changed, (rows) => {
      const ids = new Set(rows.map((row) => row["id"]))
      return ({ id }) => ids.has(id)
    })
  }

const messages = (sql: SqlClient.SqlClient): Run<Reading> => (items) => {
  const given = rowsOf(sql, items, {
    item: ["int", (_, i) => i],
    id: ["text", ({ id }) => id],
    user_id: ["text", ({ userId }) => userId],
    after: ["text", ({ after }) => after ?? ""],
    most: ["int", ({ limit }) => limit]
  })
  const found = sql`SELECT i.item, m.id, m.payload FROM ${given}
    CROSS JOIN LATERAL (SELECT FROM perennial_conversations WHERE id = i.id AND user_id = i.user_id LIMIT 1) c
    LEFT JOIN LATERAL (
      SELECT position, id, payload FROM perennial_messages
      -- A removed message has its place still, as a negative position. An unknown one has no position, and no position is
      -- greater than that.
      WHERE conversation_id = i.id AND position > CASE WHEN i.after = '' THEN 0 ELSE (SELECT ABS(position)
        FROM perennial_messages WHERE conversation_id = i.id AND id = i.after) END
      ORDER BY position LIMIT i.most
    ) m ON TRUE
    ORDER BY i.item, m.position`
  return Effect.map(found, byItem)
}

/** Histories in one batch: messages may hold files. */
const histories = 8

export const make = Effect.fnUntraced(
  function*(
    sql: SqlClient.SqlClient,
    now: Statement.Fragment
  ): Effect.fn.Return<ConversationStatements, never, Scope.Scope> {
    const createOrFind = yield* BatchedStatement.make(sql, { run: create(sql, now) })
    const readPages = yield* BatchedStatement.make(sql, { run: messages(sql), batchSize: histories })
    return {
      create: (key) => readConversations(createOrFind(key)),
      append: yield* BatchedStatement.make(sql, {
        run: append(sql, now),
        size: ({ messages }) => messages.reduce((sum, { payload }) => sum + payload.length, 0)
      }),
      messages: (reading) => readMessages(readPages(reading))
    }
  }
)
