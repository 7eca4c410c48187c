/**
 * Conversations: histories of messages. Tasks add messages to them.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { ConversationId, MessageId, TaskId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Metadata } from "./Task.ts"
import { Usage } from "./Usage.ts"

/**
 * A conversation without its messages.
 *
 * @since 0.1.0
 * @category models
 */
export const Conversation = Schema.Struct({
  id: ConversationId,
  title: Schema.optionalKey(Schema.String),
  /** The beginning of the newest message that has text, on one line (`Message.preview`). */
  preview: Schema.optionalKey(Schema.String),
  createdAt: Schema.DateTimeUtcFromString,
  /** The time of the last message, or of the last change of the title. */
  updatedAt: Schema.DateTimeUtcFromString
}).annotate({ identifier: "Conversation" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Conversation extends Schema.Schema.Type<typeof Conversation> {}

/**
 * A message as it is stored in a conversation. A message of role `tool` has one result.
 *
 * @since 0.1.0
 * @category models
 */
export const StoredMessage = Schema.Struct({
  /** `<taskId>/<seq>` of the event that carried the message. */
  id: MessageId,
  taskId: TaskId,
  createdAt: Schema.DateTimeUtcFromString,
  message: Message,
  /** `partial`: a cancel, an error or a deadline ended the task before the message was complete. */
  status: Schema.Literals(["complete", "partial"]),
  /** Of a user's message: the message whose place it took. */
  replaces: Schema.optionalKey(MessageId),
  usage: Schema.optionalKey(Usage),
  /** The `userMetadata` that the client gave with the user's message. */
  metadata: Schema.optionalKey(Metadata)
}).annotate({ identifier: "StoredMessage" })

/**
 * @since 0.1.0
 * @category models
 */
export interface StoredMessage extends Schema.Schema.Type<typeof StoredMessage> {}
