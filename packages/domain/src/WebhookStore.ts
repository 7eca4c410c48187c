/**
 * The port to the store of webhooks and of the messages that they have to get.
 *
 * A message is a row until it has arrived. Any process may send it: a claim hides the row from the others for the time of a
 * lease, and a process that dies in the middle gives it back when the lease runs out.
 *
 * @since 0.1.0
 */
import { Context, type Duration, type Effect, type Option, Schema } from "effect"
import type { UserId } from "./Ids.ts"
import type { Delivery, Settings, Webhook, WebhookId, WebhookKey } from "./Webhook.ts"

/**
 * The store of webhooks failed, after its own retries.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebhookStoreError extends Schema.TaggedError<WebhookStoreError>()("WebhookStoreError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The store of webhooks failed in "${this.operation}".`
  }
}

/**
 * A message for a webhook.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewDelivery {
  readonly webhookId: WebhookId
  /** Unique for the webhook while the message waits: a message of an id that waits already changes nothing. */
  readonly id: string
  /** The body of the request: JSON. */
  readonly body: string
  /** Whom the message is about. */
  readonly userId?: UserId | undefined
  /** The trace that the message belongs to, as W3C Trace Context writes it. */
  readonly traceparent?: string | undefined
}

/**
 * The right to send a message, until the lease runs out.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClaimedDelivery extends NewDelivery {
  readonly webhook: Webhook
  /** Counts claims, from 1. It is the fence of `settle`. */
  readonly attempt: number
}

/**
 * How an attempt ended. `delivered` removes the message. A failure without `retryAfter` disables the webhook: all its
 * messages wait until `put` enables it again.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly type: "delivered" }
  | { readonly type: "failed"; readonly error: string; readonly retryAfter: Duration.Duration | undefined }

/**
 * Stores webhooks. An implementation passes `WebhookStoreContract`.
 *
 * **Details** Every method is atomic and durable when it returns, on any number of processes. Times are by the clock of the
 * store.
 *
 * @since 0.1.0
 * @category services
 */
export class WebhookStore extends Context.Service<WebhookStore, {
  /**
   * Stores the settings of a webhook and enables it. A webhook of the same id keeps its `createdAt`, and its messages are due
   * at once, with no attempts counted. Changes nothing when the id is another user's.
   */
  readonly put: (key: WebhookKey, settings: Settings) => Effect.Effect<void, WebhookStoreError>

  /** All webhooks of a user, or the server's own; the oldest first. */
  readonly list: (userId: UserId | undefined) => Effect.Effect<ReadonlyArray<Webhook>, WebhookStoreError>

  /** Removes a webhook and its messages. False when the user has no such webhook. */
  readonly remove: (key: WebhookKey) => Effect.Effect<boolean, WebhookStoreError>

  /**
   * Removes the webhooks of a user with their messages, and the messages about the user that wait for the server's own
   * webhooks. Returns how many it has removed.
   */
  readonly forgetUser: (
    userId: UserId
  ) => Effect.Effect<{ readonly webhooks: number; readonly deliveries: number }, WebhookStoreError>

  /** The enabled webhooks of these users, at most 1,000, and the server's own. */
  readonly enabled: (
    userIds: ReadonlyArray<UserId>
  ) => Effect.Effect<ReadonlyArray<Webhook>, WebhookStoreError>

  /** How far `TaskBackend.ended` was turned into messages: the cursor of the last `advance`, or 0. */
  readonly cursor: Effect.Effect<number, WebhookStoreError>

  /** Stores messages that are due at once. A message for a webhook that is disabled or gone is not stored. */
  readonly enqueue: (deliveries: ReadonlyArray<NewDelivery>) => Effect.Effect<void, WebhookStoreError>

  /**
   * As `enqueue`, and moves the cursor in the same commit. False, and nothing is stored, when the cursor is not `from` any
   * more: another process was faster.
   */
  readonly advance: (deliveries: ReadonlyArray<NewDelivery>, cursor: {
    readonly from: number
    readonly to: number
  }) => Effect.Effect<boolean, WebhookStoreError>

  /** Claims the message that is due for the longest time, of webhooks that are not in `except`, for the time of the lease. */
  readonly claim: (options: {
    readonly lease: Duration.Duration
    readonly except: ReadonlyArray<WebhookId>
  }) => Effect.Effect<Option.Option<ClaimedDelivery>, WebhookStoreError>

  /** Ends an attempt. Changes nothing when the message was claimed again since. */
  readonly settle: (
    claim: Pick<ClaimedDelivery, "webhookId" | "id" | "attempt">,
    outcome: Outcome
  ) => Effect.Effect<void, WebhookStoreError>

  /** The messages of a user's webhook that have not arrived, the oldest first; at most `limit`, 1 to 1,000. */
  readonly deliveries: (
    key: WebhookKey,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Delivery>, WebhookStoreError>
}>()("@perennial/domain/WebhookStore") {}
