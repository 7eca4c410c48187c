/**
 * Conversations: the history that tasks add messages to.
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
  createdAt: Schema.DateTimeUtcFromString,
  updatedAt: Schema.DateTimeUtcFromString
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Conversation extends Schema.Schema.Type<typeof Conversation> {}

/**
 * A message as a conversation holds it. Messages of role `tool` hold one result each.
 *
 * @since 0.1.0
 * @category models
 */
export const StoredMessage = Schema.Struct({
  /** `<taskId>/<seq>` of the event that carried it. */
  id: MessageId,
  taskId: TaskId,
  createdAt: Schema.DateTimeUtcFromString,
  message: Message,
  /** `partial`: the answer was cut by a cancel, an error or a deadline. */
  status: Schema.Literals(["complete", "partial"]),
  usage: Schema.optionalKey(Usage),
  /** What the client attached to the user's message (`userMetadata`). */
  metadata: Schema.optionalKey(Metadata)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface StoredMessage extends Schema.Schema.Type<typeof StoredMessage> {}
