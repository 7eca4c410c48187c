/**
 * Webhooks: addresses of the application's users that get a signed request when a task ends or waits for a person.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { TaskId, type UserId } from "./Ids.ts"

/**
 * Names one webhook.
 *
 * @since 0.1.0
 * @category models
 */
export const WebhookId = Schema.NonEmptyString.check(
  Schema.isMaxLength(200),
  Schema.isPattern(/^[\w-]+$/)
).pipe(Schema.brand("WebhookId"))

/**
 * @since 0.1.0
 * @category models
 */
export type WebhookId = typeof WebhookId.Type

/**
 * What a webhook is told about: the three ends of a task, and a tool call that waits for a person.
 *
 * @since 0.1.0
 * @category models
 */
export const Topic = Schema.Literals(["task.completed", "task.error", "task.cancelled", "task.approval"])

/**
 * @since 0.1.0
 * @category models
 */
export type Topic = typeof Topic.Type

/**
 * Every topic.
 *
 * @since 0.1.0
 * @category constants
 */
export const topics: ReadonlyArray<Topic> = Topic.literals

/**
 * A secret that signs deliveries: `whsec_` and the base64 of 24 to 64 bytes.
 *
 * @since 0.1.0
 * @category models
 */
export const Secret = Schema.Struct({
  value: Schema.String.check(
    Schema.isPattern(/^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)
  ),
  /** Until when the secret signs, in milliseconds since 1970-01-01T00:00Z; for ever by default. */
  expiresAt: Schema.optionalKey(Schema.Finite)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Secret extends Schema.Schema.Type<typeof Secret> {}

/**
 * For a webhook that is told about one task alone, in the form of another protocol. A face adds such webhooks, and they are removed when
 * the receiver knows of the end of the task.
 *
 * @since 0.1.0
 * @category models
 */
export const Push = Schema.Struct({
  protocol: Schema.Literal("a2a"),
  taskId: TaskId,
  /** The id that the webhook has for the client. */
  configId: Schema.String,
  /** Credentials for the receiver: the header `authorization`, or else a token. */
  authorization: Schema.optionalKey(Schema.String),
  token: Schema.optionalKey(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Push extends Schema.Schema.Type<typeof Push> {}

/**
 * What the owner of a webhook decides.
 *
 * @since 0.1.0
 * @category models
 */
export const Settings = Schema.Struct({
  /** `https://`, unless the server allows other addresses. */
  url: Schema.String.check(Schema.isMaxLength(2000)),
  topics: Schema.Array(Topic),
  /** Whether deliveries have the task and the event, not only ids. */
  content: Schema.Boolean,
  /** Each of them signs every delivery; the newest is the first. */
  secrets: Schema.Array(Secret),
  /** Absent for the webhooks of Perennial's own protocol. */
  push: Schema.optionalKey(Push)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Settings extends Schema.Schema.Type<typeof Settings> {}

/**
 * Names a webhook of a user. Without a user it is the server's own, which is told about the tasks of all users.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebhookKey {
  readonly id: WebhookId
  readonly userId: UserId | undefined
}

/**
 * A webhook as it is stored. Times are by the store's clock, in milliseconds since 1970-01-01T00:00Z.
 *
 * @since 0.1.0
 * @category models
 */
export interface Webhook extends WebhookKey, Settings {
  /** The webhook is told about nothing that happened before. */
  readonly createdAt: number
  /** Why and since when nothing is sent; undefined while the webhook is enabled. */
  readonly disabled: { readonly at: number; readonly reason: string } | undefined
}

/**
 * A message for a webhook that has not arrived yet.
 *
 * @since 0.1.0
 * @category models
 */
export const Delivery = Schema.Struct({
  /** The header `webhook-id`: the same in every attempt. */
  id: Schema.NonEmptyString,
  /** How many attempts have begun. */
  attempts: Schema.Natural,
  /** Why the last attempt failed. */
  lastError: Schema.optionalKey(Schema.String),
  createdAt: Schema.DateTimeUtcFromString,
  /** When the next attempt may begin; absent when the webhook is disabled. */
  nextAttemptAt: Schema.optionalKey(Schema.DateTimeUtcFromString)
}).annotate({ identifier: "WebhookDelivery" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Delivery extends Schema.Schema.Type<typeof Delivery> {}
