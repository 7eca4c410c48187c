/**
 * The messages of webhooks in the form of A2A: a status update, with ids and the state alone. The receiver gets the task to know more.
 */
import type { Push, Topic } from "@perennial/domain/Webhook"
import type { NewDelivery } from "@perennial/domain/WebhookStore"
import { Option, Schema } from "effect"

const states: { readonly [topic in Topic]: string } = {
  "task.completed": "TASK_STATE_COMPLETED",
  "task.error": "TASK_STATE_FAILED",
  "task.cancelled": "TASK_STATE_CANCELED",
  "task.approval": "TASK_STATE_INPUT_REQUIRED"
}

const Told = Schema.fromJsonString(
  Schema.Struct({
    type: Schema.Literals(["task.completed", "task.error", "task.cancelled", "task.approval"]),
    timestamp: Schema.String,
    data: Schema.Struct({ taskId: Schema.String, conversationId: Schema.String })
  })
)
const decodeTold = Schema.decodeOption(Told)

/** What the receiver is told; the message as it is stored, if it cannot be read. */
const bodyOf = (stored: string): string =>
  Option.match(decodeTold(stored), {
    onNone: () => stored,
    onSome: ({ data: { conversationId: contextId, taskId }, timestamp, type }) =>
      JSON.stringify({ statusUpdate: { taskId, contextId, status: { state: states[type], timestamp } } })
  })

/** The request with the credentials that the client gave for its receiver. The id is the same in every attempt. */
export const requestOf = ({ body, id }: Pick<NewDelivery, "body" | "id">, { authorization, token }: Push) => ({
  headers: {
    "content-type": "application/a2a+json",
    "webhook-id": id,
    ...(authorization === undefined ? {} : { authorization }),
    ...(authorization !== undefined || token === undefined ? {} : { "x-a2a-notification-token": token })
  },
  body: bodyOf(body)
})
