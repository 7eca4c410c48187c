/**
 * Makes spans only if a tracer records them. The default tracer of Effect records none, and a span costs several times the
 * work of a short operation, and memory for as long as a long operation lasts.
 */
import { Effect, Tracer } from "effect"

export const withSpan = <A, E, R>(self: Effect.Effect<A, E, R>, name: string): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
      ? self
      : Effect.withSpan(self, name, { captureStackTrace: false })
  )
