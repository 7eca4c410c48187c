/**
 * The messages that webhooks get, and their signatures (Standard Webhooks 1.0).
 */
import type { TaskContext } from "@perennial/domain/CurrentTask"
import type { EndedTask } from "@perennial/domain/EndedTask"
import { toRaw } from "@perennial/domain/EventPayload"
import type { UserId } from "@perennial/domain/Ids"
import { Task, type WaitingCall } from "@perennial/domain/Task"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type { Secret, Topic, Webhook } from "@perennial/domain/Webhook"
import type { ClaimedDelivery, NewDelivery } from "@perennial/domain/WebhookStore"
import { DateTime, Effect, Option, Schema } from "effect"
import { Digest, Mac } from "effect/crypto"
import { Base64 } from "effect/encoding"
import * as WebhookPush from "./webhookPush.ts"

const utf8 = new TextEncoder()

/** A message before it is known who gets it. */
export interface Message {
  readonly topic: Topic
  /** Says which occurrence it is. */
  readonly key: string
  readonly at: DateTime.Utc
  readonly ids: { readonly userId: UserId; readonly [name: string]: unknown }
  readonly content: object
  /** The trace that the occurrence belongs to. */
  readonly traceparent: string | undefined
}

const encodeTask = Schema.encodeSync(Schema.toCodecJson(Task))

/** The message about the end of a task. */
export const ofEnd = ({ event, task, traceparent, userId }: EndedTask): Message => ({
  topic: `task.${task.status === "completed" || task.status === "error" ? task.status : "cancelled"}`,
  key: "ended",
  at: task.updatedAt,
  ids: {
    taskId: task.id,
    conversationId: task.conversationId,
    userId,
    agentId: task.agentId,
    ...(task.error === undefined ? undefined : { error: task.error.code })
  },
  content: {
    task: encodeTask(task),
    ...(event === undefined ? undefined : { event: toRaw(event.event) })
  },
  traceparent
})

/** The message about a tool call that waits for a person. */
export const ofApproval = (
  { agentId, conversationId, taskId, userId }: TaskContext,
  { args, tool, toolCallId }: Extract<AgentEvent, { readonly type: "tool_approval" }>,
  at: DateTime.Utc,
  traceparent: string | undefined
): Message => ({
  topic: "task.approval",
  key: `approval/${toolCallId}`,
  at,
  ids: { taskId, conversationId, userId, agentId, tool, toolCallId },
  content: { args },
  traceparent
})

/** The same message, from the task, for a webhook that was added after the question. */
export const ofWaiting = (
  { agentId, conversationId, id: taskId }: Task,
  userId: UserId,
  { askedAt: at, tool, toolCallId }: WaitingCall
): Message => ({
  topic: "task.approval",
  key: `approval/${toolCallId}`,
  at,
  ids: { taskId, conversationId, userId, agentId, tool, toolCallId },
  content: {},
  traceparent: undefined
})

/** Whether a webhook is told about a task. */
export const isAbout = ({ push }: Webhook, taskId: string): boolean => push === undefined || push.taskId === taskId

/**
 * The message for a webhook. Its id is made of what the message is about, so that the same occurrence has the same id,
 * however often it is found.
 */
export const toDelivery = Effect.fnUntraced(function*(
  { at, content, ids, key, topic, traceparent }: Message,
  taskId: string,
  webhook: Webhook
): Effect.fn.Return<NewDelivery, never, Digest.Digest> {
  const digest = yield* Digest.Digest
  const hash = yield* digest.digestHex(Digest.sha256, utf8.encode(JSON.stringify([webhook.id, taskId, key])))
  return {
    webhookId: webhook.id,
    userId: ids.userId,
    id: `msg_${hash.slice(0, 40)}`,
    body: JSON.stringify({
      type: topic,
      timestamp: DateTime.formatIso(at),
      data: webhook.content ? { ...ids, ...content } : ids
    }),
    traceparent
  }
})

const Told = Schema.fromJsonString(
  Schema.Struct({
    data: Schema.Struct({ taskId: Schema.String, conversationId: Schema.String, userId: Schema.String })
  })
)
const decodeTold = Schema.decodeOption(Told)

/** The task, the conversation and the user of a message, for log lines and spans. */
export const idsOf = (body: string): Partial<typeof Told.Type["data"]> =>
  Option.match(decodeTold(body), { onNone: () => ({}), onSome: ({ data }) => data })

/** What a message is about. `toDelivery` writes it at the beginning. */
export const topicOf = (body: string): string => /^\{"type":"([^"]*)"/.exec(body)?.[1] ?? "unknown"

/** When the occurrence of a message was, in milliseconds since 1970-01-01T00:00Z. `toDelivery` writes it near the beginning. */
export const occurredAt = (body: string): number | undefined => {
  const time = DateTime.make(/^\{"type":"[^"]*","timestamp":"([^"]*)"/.exec(body)?.[1] ?? "")
  return Option.getOrUndefined(Option.map(time, ({ epochMilliseconds }) => epochMilliseconds))
}

const signWith = Effect.fnUntraced(function*(secret: Secret, signed: Uint8Array) {
  const mac = yield* Mac.Mac
  const bytes = yield* Effect.fromResult(Base64.decode(secret.value.slice("whsec_".length)))
  const tag = yield* mac.sign(yield* Mac.key(Mac.hmacSha256, bytes), signed)
  return `v1,${Base64.encode(tag)}`
})

/** The request of an attempt, in the form of the webhook's protocol. `now` is in milliseconds. */
export const requestOf = Effect.fnUntraced(function*({ body, id, webhook }: ClaimedDelivery, now: number) {
  if (webhook.push !== undefined) return WebhookPush.requestOf({ body, id }, webhook.push)
  return { headers: yield* sign({ id, body }, webhook.secrets, now), body }
})

/** The headers of an attempt, with a signature by each secret that has not expired. `now` is in milliseconds. */
export const sign = Effect.fnUntraced(function*(
  { body, id }: Pick<NewDelivery, "body" | "id">,
  secrets: ReadonlyArray<Secret>,
  now: number
) {
  const timestamp = Math.floor(now / 1000)
  const signed = utf8.encode(`${id}.${timestamp}.${body}`)
  const valid = secrets.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
  // A secret that is stored was checked: it can be decoded, and signs.
  const signatures = yield* Effect.orDie(Effect.forEach(valid, (secret) => signWith(secret, signed)))
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatures.join(" ")
  }
})
