/** The traces that the messages of webhooks belong to: the trace of the request that started the task. */
import type { ClaimedDelivery, Outcome } from "@perennial/domain/WebhookStore"
import { Data, Effect, Option, Tracer } from "effect"
import { Headers, HttpTraceContext } from "effect/http"
import { idsOf, topicOf } from "./webhookMessage.ts"

const w3c = (traceparent: string | undefined): Option.Option<Tracer.ExternalSpan> =>
  traceparent === undefined ? Option.none() : HttpTraceContext.w3c(Headers.fromRecordUnsafe({ traceparent }))

/** The id of the trace of a message, for its log lines. */
export const traceIdOf = (traceparent: string | undefined): string | undefined =>
  Option.getOrUndefined(Option.map(w3c(traceparent), ({ traceId }) => traceId))

/** The span of this fiber, as W3C Trace Context writes it. Undefined where no tracer records spans. */
export const current: Effect.Effect<string | undefined> = Effect.gen(function*() {
  if ((yield* Effect.tracer) === Tracer.nativeTracer) return undefined
  const span = yield* Effect.option(Effect.currentParentSpan)
  if (Option.isNone(span)) return undefined
  const { sampled, spanId, traceId } = span.value
  const text = `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`
  return Option.isSome(w3c(text)) ? text : undefined
})

/** Without the reason: it may have the address of a receiver, which may be a secret. */
class NotDelivered extends Data.TaggedError("NotDelivered")<{ readonly outcome: Outcome }> {
  override readonly message = "The message did not arrive."
}

/** An attempt, as a span of the trace of its message. It is the only span: the loops around it have no tracer. */
export const traced = <E, R>(
  self: Effect.Effect<Outcome, E, R>,
  { attempt, body, id, traceparent, webhookId }: ClaimedDelivery
): Effect.Effect<Outcome, E, R> => {
  const parent = w3c(traceparent)
  const { conversationId, taskId } = idsOf(body)
  return self.pipe(
    Effect.filterOrFail(({ type }) => type === "delivered", (outcome) => new NotDelivered({ outcome })),
    Effect.withSpan(`webhook ${topicOf(body)}`, {
      kind: "client",
      ...(Option.isNone(parent) ? { root: true } : { parent: parent.value }),
      attributes: {
        "perennial.webhook.id": webhookId,
        "perennial.webhook.delivery": id,
        "perennial.webhook.attempt": attempt,
        ...(taskId === undefined ? {} : { "perennial.task.id": taskId, "gen_ai.conversation.id": conversationId })
      }
    }),
    Effect.withTracerEnabled(true),
    Effect.catchIf(
      (error): error is NotDelivered => error instanceof NotDelivered,
      ({ outcome }) => Effect.succeed(outcome)
    )
  )
}
