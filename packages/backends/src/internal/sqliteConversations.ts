/**
 * The statements of SQLite on conversations.
 */
import { Effect, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import {
  conversationColumns,
  type ConversationStatements,
  readConversations,
  readMessages
} from "./conversationStatements.ts"
import { rowsOf } from "./sqliteTaskStatements.ts"
import { readRows } from "./sqlRows.ts"

const readPositions = readRows(Schema.Struct({ last_position: Schema.Int }))

export const make = (
  sql: SqlClient.SqlClient,
  time: Effect.Effect<Statement.Fragment>
): ConversationStatements => ({
  create: ({ id, userId }) =>
    Effect.flatMap(
      time,
      (now) =>
        readConversations(sql`INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
        VALUES (${id}, ${userId}, ${now}, ${now}) ON CONFLICT (id) DO NOTHING RETURNING ${conversationColumns(sql)}`)
    ),
  append: ({ follows, id, messages, preview, words }) =>
    sql.withTransaction(Effect.gen(function*() {
      const now = yield* time
      const filter = sql.and([
        sql`id = ${id}`,
        ...(follows === undefined ? [] : [sql`EXISTS (SELECT 1 FROM perennial_messages
          WHERE conversation_id = ${id} AND id = ${follows})`])
      ])
      const [row] = yield* readPositions(sql`UPDATE perennial_conversations
        SET last_position = last_position + ${messages.length}, updated_at = ${now},
          preview = COALESCE(NULLIF(${preview}, ''), preview) WHERE ${filter}
        RETURNING last_position`)
      if (row === undefined) return false
      for (const [i, message] of messages.entries()) {
        yield* sql`INSERT INTO perennial_messages (conversation_id, position, id, payload)
          VALUES (${id}, ${row.last_position - messages.length + i + 1}, ${message.id}, ${message.payload})
          ON CONFLICT (conversation_id, id) DO NOTHING`
      }
      yield* sql`INSERT INTO perennial_conversation_words (conversation_id, word)
        SELECT ${id}, i.word FROM ${rowsOf(sql, words, { word: ["text", (word) => word] })} WHERE TRUE
        ON CONFLICT DO NOTHING`
      return true
    })),
  messages: ({ after, id, limit, userId }) => {
    // A removed message has its place still, as a negative position. An unknown one has no position, and no position is
    // greater than that.
    const from = after === undefined ? sql`0` : sql`(SELECT ABS(position) FROM perennial_messages
      WHERE conversation_id = ${id} AND id = ${after})`
    return readMessages(sql`SELECT m.id, m.payload FROM perennial_conversations c
      LEFT JOIN perennial_messages m ON m.conversation_id = c.id AND m.position > ${from}
      WHERE c.id = ${id} AND c.user_id = ${userId} ORDER BY m.position LIMIT ${limit}`)
  }
})
