/**
 * The port to where conversations and their messages are kept.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { Conversation, StoredMessage } from "./Conversation.ts"
import type { ConversationId, MessageId, UserId } from "./Ids.ts"
import type { ConversationNotFound, ConversationStoreError } from "./TaskError.ts"

/**
 * Names a conversation of a user. A conversation of another user does not exist for this one (P12).
 *
 * @since 0.1.0
 * @category models
 */
export interface ConversationKey {
  readonly id: ConversationId
  readonly userId: UserId
}

/**
 * Keeps conversations and messages. It is a projection of the event logs: the runtime writes each message after the
 * event that carried it is durable, and may repeat any write.
 *
 * @since 0.1.0
 * @category services
 */
export class ConversationStore extends Context.Service<ConversationStore, {
  /**
   * Creates a conversation, or returns it when it is there already. Fails with `ConversationNotFound` when it is
   * another user's.
   */
  readonly create: (
    key: ConversationKey
  ) => Effect.Effect<Conversation, ConversationNotFound | ConversationStoreError>

  readonly get: (key: ConversationKey) => Effect.Effect<Conversation, ConversationNotFound | ConversationStoreError>

  /**
   * A page of a user's conversations, newest first by the time of creation, then by id; `before` is the last id of the
   * page before. An unknown `before` yields nothing.
   */
  readonly list: (options: {
    readonly userId: UserId
    readonly before?: ConversationId | undefined
    /** 1 to 1,000. */
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Conversation>, ConversationStoreError>

  /** A page of messages, oldest first; `after` is the last id of the page before. An unknown `after` yields nothing. */
  readonly messages: (
    key: ConversationKey,
    options: {
      readonly after?: MessageId | undefined
      /** 1 to 1,000. */
      readonly limit: number
    }
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, ConversationNotFound | ConversationStoreError>

  /**
   * Adds messages at the end, in order, in one step. Idempotent by message id: what is there already stays where and as
   * it is. With `replaces` that message and all that came after it are removed first, in the same step, if it is there.
   * What was removed does not come back: an `append` that repeats it changes nothing.
   */
  readonly append: (
    id: ConversationId,
    messages: ReadonlyArray<StoredMessage>,
    options?: { readonly replaces?: MessageId | undefined }
  ) => Effect.Effect<void, ConversationNotFound | ConversationStoreError>

  readonly setTitle: (
    id: ConversationId,
    title: string
  ) => Effect.Effect<void, ConversationNotFound | ConversationStoreError>

  /** Removes a conversation and its messages. With `onlyEmpty` one that holds a message, or is not there, is left alone. */
  readonly delete: (
    key: ConversationKey,
    options?: { readonly onlyEmpty?: boolean | undefined }
  ) => Effect.Effect<void, ConversationNotFound | ConversationStoreError>
}>()("@perennial/domain/ConversationStore") {}
