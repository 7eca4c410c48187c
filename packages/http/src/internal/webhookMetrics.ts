/** The metrics of webhooks. docs/telemetry.md lists them. */
import type { ClaimedDelivery, Outcome } from "@perennial/domain/WebhookStore"
import { Clock, Effect, Metric } from "effect"
import { occurredAt } from "./webhookMessage.ts"

const attempts = Metric.counter("perennial.webhooks.attempts", {
  description: "Attempts to deliver messages of webhooks, by outcome.",
  incremental: true
})

const age = Metric.histogram("perennial.webhooks.age", {
  description: "From an occurrence to an attempt to tell a webhook about it.",
  boundaries: [0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400, 259_200],
  attributes: { unit: "s" }
})

/** A failure without a further attempt disables the webhook. */
const nameOf = (outcome: Outcome): string => {
  if (outcome.type === "delivered") return "delivered"
  return outcome.retryAfter === undefined ? "disabled" : "failed"
}

const byOutcome = new Map(
  ["delivered", "failed", "disabled"].map((name) =>
    [name, Metric.withAttributes(attempts, { "perennial.webhook.outcome": name })] as const
  )
)

/** Counts an attempt, and measures how old its message is. */
export const measure = Effect.fnUntraced(function*({ body }: ClaimedDelivery, outcome: Outcome) {
  const counter = byOutcome.get(nameOf(outcome))
  if (counter !== undefined) yield* Metric.update(counter, 1)
  const at = occurredAt(body)
  if (at !== undefined) yield* Metric.update(age, Math.max(0, (yield* Clock.currentTimeMillis) - at) / 1_000)
})
