/** Which traces are recorded: the rule `parentbased_traceidratio` of OpenTelemetry, and a bound for those that begin here. */
import { type Clock, Context, Option, Tracer } from "effect"

/** Digits of an id that a number holds exactly. */
const digits = 13

/** Decides about the traces that begin in this process. */
export interface Sampler {
  /** Whether a trace belongs to the recorded part. Ids of traces are random, and every process decides the same about an id. */
  readonly includes: (traceId: string) => boolean
  /** Whether a trace that begins now is recorded: it belongs to the recorded part, and not too many have begun. */
  readonly begins: (traceId: string) => boolean
}

/** `ratio` is the recorded part, from 0 to 1; `perSecond` is the most traces that begin here in a second, on average. */
export const makeSampler = (
  clock: Clock.Clock,
  { perSecond, ratio }: { readonly perSecond: number; readonly ratio: number }
): Sampler => {
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e9
  // A token bucket: it fills with `perSecond`, holds the tokens of one second, and gives one for each trace.
  const most = Math.max(1, perSecond)
  let tokens = most
  let filledAt = now()
  const take = () => {
    if (perSecond === Infinity) return true
    const time = now()
    tokens = Math.min(most, tokens + (time - filledAt) * perSecond)
    filledAt = time
    if (tokens < 1) return false
    tokens--
    return true
  }
  const includes = (traceId: string) => Number.parseInt(traceId.slice(-digits), 16) < ratio * 16 ** digits
  return { includes, begins: (traceId) => includes(traceId) && take() }
}

const all: Sampler = { includes: () => true, begins: () => true }

/** The sampler of this process; without one, every trace is recorded. */
export const CurrentSampler = Context.Reference<Sampler>("@perennial/runtime/CurrentSampler", {
  defaultValue: () => all
})

/** An annotation of a first span whose trace is decided already. */
export const Decided = Context.Reference<boolean>("@perennial/runtime/Decided", { defaultValue: () => false })

/** A tracer that decides about the first span of a trace. Spans within it follow their parent. */
export const sampled = (tracer: Tracer.Tracer, { begins }: Sampler): Tracer.Tracer => {
  // The default tracer records nothing, and stays itself, so that it is recognized.
  if (tracer === Tracer.nativeTracer) return tracer
  return Tracer.make({
    ...tracer,
    span: (options) => {
      const span = tracer.span(options)
      const isFirst = Option.isNone(options.parent) && !Context.get(options.annotations, Decided)
      if (options.sampled && isFirst && !begins(span.traceId)) {
        Object.defineProperty(span, "sampled", { value: false, configurable: true })
      }
      return span
    }
  })
}
