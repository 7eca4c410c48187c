/** What the endpoints that start a task have in common. */
import { IdempotencyKey } from "@perennial/domain/StartInput"
import { Task } from "@perennial/domain/Task"
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import * as Problems from "../Problems.ts"

export const idempotencyKey = Schema.optionalKey(IdempotencyKey)

export const describeKey = {
  description: "Makes the request safe to repeat. The same key with the same body returns the same task."
}

export const startErrors = [
  Problems.ConversationBusy,
  Problems.QueueFull,
  Problems.TooManyActiveTasks,
  Problems.CapacityExceeded,
  Problems.AgentNotFound,
  Problems.ConversationNotFound,
  Problems.MessageNotFound,
  Problems.IdempotencyConflict,
  Problems.Unavailable
] as const

/** The task, and the header that names it. */
export const Started = HttpApiSchema.WithHeaders(Task.pipe(HttpApiSchema.status("Created")), {
  location: Schema.String
})
