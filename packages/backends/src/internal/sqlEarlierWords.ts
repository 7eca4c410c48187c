/** The words of conversations that an earlier version stored, in an SQL database: the migration has listed the conversations. */
import { ConversationId } from "@perennial/domain/Ids"
import { Array as Arr, Effect, Schema } from "effect"
import { toConversationStoreError } from "./backendError.ts"
import type { Steps } from "./earlierWords.ts"
import type { Dialect } from "./sqlDialect.ts"
import { readRows } from "./sqlRows.ts"

const readIds = readRows(Schema.Struct({ id: ConversationId }))

/** Words in one statement. */
const chunk = 1_000

const failed = toConversationStoreError("list")

export const make = ({ boundTransaction, rowsOf, sql, withRetries, withTransaction }: Dialect): Steps => ({
  find: (userId, limit) =>
    withRetries(() =>
      Effect.map(
        readIds(sql`SELECT conversation_id AS id FROM perennial_unsearched WHERE user_id = ${userId}
          LIMIT ${limit}`),
        (rows) => rows.map(({ id }) => id)
      ), failed),
  add: ({ id, userId }, conversation, words) =>
    withRetries(() =>
      withTransaction(Effect.gen(function*() {
        // Locks the conversation: a deletion comes before the words, or removes them.
        const found = conversation === undefined ? [] : yield* sql`UPDATE perennial_conversations
          SET last_position = last_position
          WHERE id = ${id} AND user_id = ${userId} AND created_at = ${conversation.createdAt.epochMilliseconds}
          RETURNING id, ${boundTransaction}`
        for (const some of found.length === 0 ? [] : Arr.chunksOf(words, chunk)) {
          yield* sql`INSERT INTO perennial_conversation_words (conversation_id, word)
            SELECT ${id}, i.word FROM ${rowsOf(some, { word: ["text", (word) => word] })} WHERE TRUE
            ON CONFLICT DO NOTHING`
        }
        yield* sql`DELETE FROM perennial_unsearched WHERE user_id = ${userId} AND conversation_id = ${id}`
      })), failed)
})
