/**
 * A webhook and its messages as the stores keep them.
 */
import { UserId } from "@perennial/domain/Ids"
import { type Delivery, Settings, type Webhook, WebhookId } from "@perennial/domain/Webhook"
import { DateTime, Schema } from "effect"

/** The user of the server's own webhooks: no user has an empty id. */
export const serverUser = ""

export const encodeSettings = Schema.encodeSync(Schema.fromJsonString(Settings))
const decodeSettings = Schema.decodeUnknownSync(Schema.fromJsonString(Settings))

/** Throws when a value cannot be read. */
export const toWebhook = (row: {
  readonly id: string
  readonly userId: string
  readonly settings: string
  readonly createdAt: number
  readonly disabledAt: number | undefined
  readonly disabledReason: string
}): Webhook => ({
  ...decodeSettings(row.settings),
  id: WebhookId.make(row.id),
  userId: row.userId === serverUser ? undefined : UserId.make(row.userId),
  createdAt: row.createdAt,
  disabled: row.disabledAt === undefined ? undefined : { at: row.disabledAt, reason: row.disabledReason }
})

export const toDelivery = (row: {
  readonly id: string
  readonly attempts: number
  readonly lastError: string | null
  readonly createdAt: number
  readonly dueAt: number | undefined
}): Delivery => ({
  id: row.id,
  attempts: row.attempts,
  createdAt: DateTime.makeUnsafe(row.createdAt),
  ...(row.lastError === null ? undefined : { lastError: row.lastError }),
  ...(row.dueAt === undefined ? undefined : { nextAttemptAt: DateTime.makeUnsafe(row.dueAt) })
})
