/**
 * Spans that cost nothing where nobody collects them: making one is several times the work of what happens in it.
 */
import { Effect, Tracer } from "effect"

/** Runs in a span of this name, unless the tracer is Effect's own, which keeps none. */
export const traced = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Tracer.Tracer,
    (tracer) => tracer === Tracer.nativeTracer ? effect : Effect.withSpan(effect, name)
  )
