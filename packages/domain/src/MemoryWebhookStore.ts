/**
 * Keeps webhooks in the memory of this process: for tests, first steps and servers whose tasks end with the process, too.
 *
 * @since 0.1.0
 */
import { Clock, DateTime, Duration, Effect, Layer, Option } from "effect"
import type { Delivery, Webhook, WebhookId, WebhookKey } from "./Webhook.ts"
import { type NewDelivery, WebhookStore } from "./WebhookStore.ts"

interface Message extends NewDelivery {
  readonly createdAt: number
  attempts: number
  lastError: string | undefined
  dueAt: number | undefined
}

const toDelivery = ({ attempts, createdAt, dueAt, id, lastError }: Message): Delivery => ({
  id,
  attempts,
  createdAt: DateTime.makeUnsafe(createdAt),
  ...(lastError === undefined ? undefined : { lastError }),
  ...(dueAt === undefined ? undefined : { nextAttemptAt: DateTime.makeUnsafe(dueAt) })
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<WebhookStore["Service"]> = Effect.sync(() => {
  const webhooks = new Map<WebhookId, Webhook>()
  const messages = new Map<WebhookId, Map<string, Message>>()
  let cursor = 0

  const step = <A>(body: (now: number) => A): Effect.Effect<A> => Effect.map(Clock.currentTimeMillis, body)
  const messagesOf = (id: WebhookId) => messages.get(id)?.values() ?? []
  const find = ({ id, userId }: WebhookKey) => {
    const found = webhooks.get(id)
    return found?.userId === userId ? found : undefined
  }
  const add = (deliveries: ReadonlyArray<NewDelivery>, now: number) => {
    for (const delivery of deliveries) {
      const webhook = webhooks.get(delivery.webhookId)
      if (webhook === undefined || webhook.disabled !== undefined) continue
      const waiting = messages.get(delivery.webhookId) ?? new Map<string, Message>()
      messages.set(delivery.webhookId, waiting)
      if (waiting.has(delivery.id)) continue
      waiting.set(delivery.id, { ...delivery, createdAt: now, attempts: 0, lastError: undefined, dueAt: now })
    }
  }
  const isDue = (message: Message, now: number) => message.dueAt !== undefined && message.dueAt <= now

  return {
    put: ({ id, userId }, settings) =>
      step((now) => {
        const found = webhooks.get(id)
        if (found !== undefined && found.userId !== userId) return
        webhooks.set(id, { ...settings, id, userId, createdAt: found?.createdAt ?? now, disabled: undefined })
        for (const message of messagesOf(id)) Object.assign(message, { attempts: 0, dueAt: now })
      }),
    list: (userId) => Effect.sync(() => [...webhooks.values()].filter((webhook) => webhook.userId === userId)),
    remove: (key) =>
      Effect.sync(() => {
        if (find(key) === undefined) return false
        messages.delete(key.id)
        return webhooks.delete(key.id)
      }),
    forgetUser: (userId) =>
      Effect.sync(() => {
        const removed = { webhooks: 0, deliveries: 0 }
        for (const webhook of webhooks.values()) {
          if (webhook.userId === undefined) {
            for (const message of messagesOf(webhook.id)) {
              if (message.userId !== userId) continue
              messages.get(webhook.id)?.delete(message.id)
              removed.deliveries++
            }
          }
          if (webhook.userId !== userId) continue
          removed.deliveries += messages.get(webhook.id)?.size ?? 0
          removed.webhooks++
          messages.delete(webhook.id)
          webhooks.delete(webhook.id)
        }
        return removed
      }),
    enabled: (userIds) =>
      Effect.sync(() => {
        const users = new Set(userIds)
        return [...webhooks.values()].filter(({ disabled, userId }) =>
          disabled === undefined && (userId === undefined || users.has(userId))
        )
      }),
    cursor: Effect.sync(() => cursor),
    enqueue: (deliveries) => step((now) => add(deliveries, now)),
    advance: (deliveries, { from, to }) =>
      step((now) => {
        if (cursor !== from) return false
        cursor = to
        add(deliveries, now)
        return true
      }),
    claim: ({ except, lease }) =>
      step((now) => {
        const [due] = [...webhooks.keys()].filter((id) => !except.includes(id))
          .flatMap((id) => [...messagesOf(id)].filter((message) => isDue(message, now)))
          .toSorted((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))
        const webhook = due && webhooks.get(due.webhookId)
        if (due === undefined || webhook === undefined) return Option.none()
        due.attempts++
        due.dueAt = now + Duration.toMillis(lease)
        const { attempts: attempt, body, id, traceparent, webhookId } = due
        return Option.some({ webhookId, id, body, traceparent, attempt, webhook })
      }),
    settle: ({ attempt, id, webhookId }, outcome) =>
      step((now) => {
        const waiting = messages.get(webhookId)
        const message = waiting?.get(id)
        const webhook = webhooks.get(webhookId)
        if (message?.attempts !== attempt || webhook === undefined) return
        if (outcome.type === "delivered") {
          waiting?.delete(id)
          return
        }
        message.lastError = outcome.error
        if (outcome.retryAfter !== undefined) {
          message.dueAt = now + Duration.toMillis(outcome.retryAfter)
          return
        }
        webhooks.set(webhookId, { ...webhook, disabled: { at: now, reason: outcome.error } })
        for (const each of messagesOf(webhookId)) each.dueAt = undefined
      }),
    deliveries: (key, limit) =>
      Effect.sync(() => find(key) === undefined ? [] : [...messagesOf(key.id)].slice(0, limit).map(toDelivery))
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<WebhookStore> = Layer.effect(WebhookStore, make)
