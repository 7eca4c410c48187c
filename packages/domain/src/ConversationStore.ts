/**
 * The port to the store of conversations and their messages.
 *
 * @since 0.1.0
 */
import { Context, type DateTime, type Effect, Schema } from "effect"
import type { Conversation, StoredMessage } from "./Conversation.ts"
import type { ConversationId, MessageId, UserId } from "./Ids.ts"
import type { ConversationNotFound, ConversationStoreError } from "./TaskError.ts"

/**
 * Names a conversation of a user. A conversation of another user does not exist for this user (P12).
 *
 * @since 0.1.0
 * @category models
 */
export interface ConversationKey {
  readonly id: ConversationId
  readonly userId: UserId
}

/**
 * The order of a list of conversations: by one of their times, newest first, then by id.
 *
 * @since 0.1.0
 * @category models
 */
export const ConversationOrder = Schema.Literals(["createdAt", "updatedAt"])

/**
 * @since 0.1.0
 * @category models
 */
export type ConversationOrder = typeof ConversationOrder.Type

/**
 * The place of a conversation in a list: its time of the order of the list, and its id.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConversationPlace {
  readonly at: DateTime.Utc
  readonly id: ConversationId
}

/**
 * How many conversations a list with `text` looks at, at least: the first of its order.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxSearched = 2_000

/**
 * Stores conversations and messages. It is a projection of the event logs: the runtime writes each message after the
 * event that carries the message is durable, and may repeat any write.
 *
 * @since 0.1.0
 * @category services
 */
export class ConversationStore extends Context.Service<ConversationStore, {
  /**
   * Creates a conversation, or returns the one that exists. Fails with `ConversationNotFound` when it is another user's.
   */
  readonly create: (
    key: ConversationKey
  ) => Effect.Effect<Conversation, ConversationNotFound | ConversationStoreError>

  readonly get: (key: ConversationKey) => Effect.Effect<Conversation, ConversationNotFound | ConversationStoreError>

  /**
   * A page of a user's conversations, newest first by the time of creation, or by `updatedAt`, then by id. `before` is the
   * place of the last conversation of the page before, which is valid also after that conversation was deleted or changed.
   */
  readonly list: (options: {
    readonly userId: UserId
    /** `createdAt` by default. */
    readonly order?: ConversationOrder | undefined
    /**
     * Only conversations with these words, in their messages or their title, each of them whole or the beginning of one
     * (`SearchText`). A store may also find words of messages that were replaced and of titles that were changed, and may look at
     * the first `maxSearched` conversations alone. What a version without this search stored is read by the first searches of its
     * user, 1,000 conversations each.
     */
    readonly text?: string | undefined
    /** With `true` also the conversations of child tasks (`Ids.isChildConversation`). */
    readonly children?: boolean | undefined
    readonly before?: ConversationPlace | undefined
    /** 1 to 1,000. */
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Conversation>, ConversationStoreError>

  /**
   * A page of messages, oldest first, or newest first. `after` is the last id of the page before, and is valid also when that
   * message was replaced since: the page then begins with the messages that took its place, or with the message before it. An
   * id that the conversation never had yields nothing. A message that the store cannot read keeps its place and its id, as
   * `MessagePayload.makeUnreadable`.
   */
  readonly messages: (
    key: ConversationKey,
    options: {
      readonly after?: MessageId | undefined
      /** `oldest` first by default. */
      readonly order?: "oldest" | "newest" | undefined
      /** 1 to 1,000. */
      readonly limit: number
    }
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, ConversationNotFound | ConversationStoreError>

  /**
   * A page of the messages that were replaced, in the order in which they were added. `after` is the last id of the page
   * before. A store need not have messages that an earlier version replaced.
   */
  readonly replaced: (
    key: ConversationKey,
    options: {
      readonly after?: MessageId | undefined
      /** 1 to 1,000. */
      readonly limit: number
    }
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, ConversationNotFound | ConversationStoreError>

  /**
   * Adds messages at the end, in order, in one step. Idempotent by message id: a message that the conversation has stays
   * as it is, in its place. With `replaces` that message, if the conversation has it, and all messages after it are removed
   * first, in the same step; `replaced` still has them. A removed message does not come back: an `append` that repeats it
   * changes nothing. The last of the messages that has text is the `preview` of the conversation. With `follows` it fails
   * with `ConversationNotFound` if the conversation never had that message: the conversation to which the messages belong
   * was deleted, and this is a new one with the same id.
   */
  readonly append: (
    id: ConversationId,
    messages: ReadonlyArray<StoredMessage>,
    options?: { readonly replaces?: MessageId | undefined; readonly follows?: MessageId | undefined }
  ) => Effect.Effect<void, ConversationNotFound | ConversationStoreError>

  /**
   * Gives the conversation a title. With `chosen` a person has chosen the title: from then on a title that no person has chosen
   * changes nothing, and is no failure.
   */
  readonly setTitle: (
    id: ConversationId,
    title: string,
    options?: { readonly chosen?: boolean | undefined }
  ) => Effect.Effect<void, ConversationNotFound | ConversationStoreError>

  /**
   * Removes a conversation and its messages, and returns how many messages it had, replaced ones
   * included. With `onlyEmpty`, a conversation that has a
   * message is not removed, and a missing conversation is no error.
   */
  readonly delete: (
    key: ConversationKey,
    options?: { readonly onlyEmpty?: boolean | undefined }
  ) => Effect.Effect<number, ConversationNotFound | ConversationStoreError>
}>()("@perennial/domain/ConversationStore") {}
