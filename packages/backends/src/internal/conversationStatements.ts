/**
 * The rows of conversations, and the statements on them that each dialect has in a form of its own.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationKey } from "@perennial/domain/ConversationStore"
import { ConversationId, MessageId, UserId } from "@perennial/domain/Ids"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import { type Effect, Option, Schema } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import { Millis, readRows } from "./sqlRows.ts"
import type { CodecError } from "./storeRetry.ts"

export const ConversationRow = Schema.Struct({
  id: ConversationId,
  user_id: UserId,
  title: Schema.NullOr(Schema.String),
  preview: Schema.NullOr(Schema.String),
  created_at: Millis,
  updated_at: Millis
})
export type ConversationRow = typeof ConversationRow.Type

export const readConversations = readRows(ConversationRow)

export const conversationColumns = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql.literal(Object.keys(ConversationRow.fields).join(", "))

/** A conversation, and a message of it. A conversation whose page is empty is one row without a message. */
const MessageRow = Schema.Struct({ id: Schema.NullOr(MessageId), payload: Schema.NullOr(Schema.String) })
export type MessageRow = typeof MessageRow.Type

export const readMessages = readRows(MessageRow)

/** The messages of a page. */
export const toStoredMessages = (rows: ReadonlyArray<MessageRow>): ReadonlyArray<StoredMessage> =>
  rows.flatMap(({ id, payload }) =>
    id === null || payload === null
      ? []
      : [Option.getOrElse(MessagePayload.decode(payload), () => MessagePayload.makeUnreadable(payload, id))]
  )

/** Messages for the end of a conversation. */
export interface Adding {
  readonly id: ConversationId
  /** A message that the conversation must have, or must have had. */
  readonly follows: MessageId | undefined
  readonly messages: ReadonlyArray<{ readonly id: MessageId; readonly payload: string }>
  /** What lists show of the conversation from now on; empty if that stays as it is. */
  readonly preview: string
  /** The words by which the conversation is found from now on, besides those that it has. */
  readonly words: ReadonlyArray<string>
}

export interface Reading extends ConversationKey {
  readonly after?: MessageId | undefined
  readonly limit: number
}

type Decoded<Row> = Effect.Effect<ReadonlyArray<Row>, SqlError.SqlError | CodecError>

export interface ConversationStatements {
  /** Creates a conversation. May return the user's existing one; returns no row where it does not. */
  readonly create: (key: ConversationKey) => Decoded<ConversationRow>
  /** Whether the conversation exists, with the message that `follows` names. A message that it has already leaves a gap between positions. */
  readonly append: (adding: Adding) => Effect.Effect<boolean, SqlError.SqlError | CodecError>
  readonly messages: (reading: Reading) => Decoded<MessageRow>
}
