/**
 * The spans of a task have ids that follow from the task. So any process can name a span that another process has begun,
 * and complete it if that process died.
 */
import type { Claim } from "@perennial/domain/TaskBackend"
import type { TaskSpec } from "@perennial/domain/TaskSpec"
import { Context, type Exit, Option, Tracer } from "effect"
import { Decided, type Sampler } from "./sampler.ts"

/** FNV-1a, 64 bits, as the hexadecimal id of a span. In two halves: with one `bigint`, ids were half of the cost of a trace. */
const hash = (text: string): string => {
  let high = 0xcbf29ce4
  let low = 0x84222325
  for (let i = 0; i < text.length; i++) {
    low = (low ^ text.charCodeAt(i)) >>> 0
    // The prime is 2 ** 40 + 0x1b3.
    const product = low * 0x1b3
    high = (Math.imul(high, 0x1b3) + (low << 8) + Math.floor(product / 0x1_0000_0000)) >>> 0
    low = product >>> 0
  }
  return hex(high) + hex(low)
}

const hex = (half: number): string => half.toString(16).padStart(8, "0")

/** A span of a task: of the whole task, of its queue, of an attempt, or of a tool call during an attempt. */
export const spanIdOf = (taskId: string, ...part: ReadonlyArray<string | number>): string =>
  hash([taskId, ...part].join("/"))

export const taskSpanId = (taskId: string): string => spanIdOf(taskId)

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** W3C Trace Context, section 3.2. Undefined for a span that belongs to no trace. */
export const toTraceparent = ({ sampled, spanId, traceId }: Tracer.AnySpan): string | undefined => {
  const text = `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`
  return traceparent.test(text) ? text : undefined
}

const fromTraceparent = (text: string | undefined): Tracer.ExternalSpan | undefined => {
  const [, traceId, spanId, flags] = traceparent.exec(text ?? "") ?? []
  return traceId === undefined || spanId === undefined || flags === undefined
    ? undefined
    : Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** The id of the trace that a task belongs to, if it is stored with the task. */
export const traceIdOf = (spec: TaskSpec): string | undefined => traceparent.exec(spec.traceparent ?? "")?.[1]

/** The place of a task in its trace. */
export interface TaskTrace {
  /** What started the task. Undefined if the task was started without a trace: then the task is the root of its own. */
  readonly origin: Tracer.ExternalSpan | undefined
  /** The task itself, the parent of its attempts. */
  readonly task: Tracer.ExternalSpan
}

/**
 * The sampler decides about a task that was started without a trace. The owner of a later attempt does not know whether the
 * bound of the first owner was reached: it records the task, whose owners were lost.
 */
export const traceOf = ({ attempt, spec, taskId }: Claim, sampler: Sampler): TaskTrace => {
  const origin = fromTraceparent(spec.traceparent)
  const traceId = origin?.traceId ?? `${hash(`${taskId}/trace`)}${hash(taskId)}`
  const sampled = origin?.sampled ?? (attempt === 1 ? sampler.begins : sampler.includes)(traceId)
  return { origin, task: Tracer.externalSpan({ traceId, spanId: taskSpanId(taskId), sampled }) }
}

/** Gives a span its id. Tracers have no option for it; Effect's exporter reads the ids of a span when it exports the span. */
export const identify = (
  span: Tracer.Span,
  ids: { readonly spanId: string; readonly traceId?: string; readonly sampled?: boolean }
): void => {
  for (const [name, value] of Object.entries(ids)) Object.defineProperty(span, name, { value })
}

export interface TaskSpanInput {
  readonly name: string
  readonly spanId: string
  readonly trace: TaskTrace
  /** The task by default. */
  readonly parent?: Tracer.AnySpan | undefined
  /** Milliseconds since 1970-01-01T00:00Z, like `end`. */
  readonly start: number
  readonly kind?: Tracer.SpanKind
  readonly links?: ReadonlyArray<Tracer.AnySpan>
  readonly attributes: Readonly<Record<string, unknown>>
}

const nanos = (millis: number): bigint => BigInt(Math.round(millis)) * 1_000_000n

const decided = Context.make(Decided, true)

/** Begins a span that belongs to no fiber. */
export const beginSpan = (tracer: Tracer.Tracer, input: TaskSpanInput): Tracer.Span => {
  const { sampled, spanId, traceId } = input.trace.task
  const isTask = input.spanId === spanId
  const span = tracer.span({
    name: input.name,
    parent: Option.fromUndefinedOr(isTask ? input.trace.origin : input.parent ?? input.trace.task),
    annotations: decided,
    links: (input.links ?? []).map((span) => ({ span, attributes: {} })),
    startTime: nanos(input.start),
    kind: input.kind ?? "internal",
    root: false,
    sampled
  })
  // The first span of a trace has no parent that it could have these from.
  identify(
    span,
    isTask && input.trace.origin === undefined ? { spanId, traceId, sampled } : { spanId: input.spanId }
  )
  for (const [key, value] of Object.entries(input.attributes)) if (value !== undefined) span.attribute(key, value)
  return span
}

export const endSpan = (span: Tracer.Span, end: number, exit: Exit.Exit<unknown, unknown>): void =>
  span.end(nanos(end), exit)
