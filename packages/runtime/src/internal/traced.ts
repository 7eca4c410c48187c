/** Spans of what lasts long: they cost memory, so that there are none where no tracer takes note of them. */
import { Effect, Tracer } from "effect"

export const withSpan = <A, E, R>(self: Effect.Effect<A, E, R>, name: string): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
      ? self
      : Effect.withSpan(self, name, { captureStackTrace: false })
  )
