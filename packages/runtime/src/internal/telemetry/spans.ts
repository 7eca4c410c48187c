/**
 * Makes spans only where a tracer records them. The default tracer of Effect records none, and a span costs several times the
 * work of a short operation, and memory for as long as a long operation lasts.
 */
import { Effect, type Fiber, References, Tracer } from "effect"

/** The tracer of a fiber. Undefined if no spans are recorded there. */
export const tracerOf = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.Tracer | undefined => {
  const tracer = fiber.getRef(Tracer.Tracer)
  return tracer === Tracer.nativeTracer || !fiber.getRef(References.TracerEnabled) ? undefined : tracer
}

export interface SpanOptions {
  readonly attributes?: Readonly<Record<string, unknown>>
  /** Called with the new span, before the effect begins. */
  readonly onStart?: (span: Tracer.Span) => void
}

/** The effect, as a part of the span. The stack at this place, which Effect would record, is always the same. */
export const within = <A, E, R>(self: Effect.Effect<A, E, R>, span: Tracer.AnySpan): Effect.Effect<A, E, R> =>
  Effect.withParentSpan(self, span, { captureStackTrace: false })

/** Without a tracer, and in a trace that is not sampled, this is `self`. `options` are made only for a span. */
export const withSpan = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  name: string,
  options?: () => SpanOptions
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber): Effect.Effect<A, E, R> => {
    if (tracerOf(fiber) === undefined || fiber.cache.span?.sampled === false) return self
    const { attributes, onStart } = options?.() ?? {}
    return Effect.useSpan(name, { attributes: { ...attributes } }, (span) => {
      onStart?.(span)
      return within(self, span)
    })
  })
