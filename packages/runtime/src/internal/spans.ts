/**
 * Spans where a tracer takes note of them, and none where it is Effect's own, which keeps none: making one is several times
 * the work of a short operation, and memory for as long as a long one lasts.
 */
import { Effect, Tracer } from "effect"

export const withSpan = <A, E, R>(self: Effect.Effect<A, E, R>, name: string): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
      ? self
      : Effect.withSpan(self, name, { captureStackTrace: false })
  )
