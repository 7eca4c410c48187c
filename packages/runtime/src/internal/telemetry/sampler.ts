/** Which traces are recorded: the rule `parentbased_traceidratio` of OpenTelemetry. */
import { Context, Option, Tracer } from "effect"

/** The part that is recorded of the traces that begin here, from 0 to 1. */
export const SampleRatio = Context.Reference<number>("@perennial/runtime/SampleRatio", { defaultValue: () => 1 })

/** Digits of an id that a number holds exactly. */
const digits = 13

/** Ids of traces are random, and every process decides the same about an id. */
export const isSampled = (traceId: string, ratio: number): boolean =>
  Number.parseInt(traceId.slice(-digits), 16) < ratio * 16 ** digits

/** A tracer that decides about the first span of a trace. Spans within it follow their parent. */
export const sampled = (tracer: Tracer.Tracer, ratio: number): Tracer.Tracer => {
  // The default tracer records nothing, and stays itself, so that it is recognized.
  if (tracer === Tracer.nativeTracer || ratio >= 1) return tracer
  return Tracer.make({
    ...tracer,
    span: (options) => {
      const span = tracer.span(options)
      if (options.sampled && Option.isNone(options.parent) && !isSampled(span.traceId, ratio)) {
        Object.defineProperty(span, "sampled", { value: false, configurable: true })
      }
      return span
    }
  })
}
