/** A tracer that keeps the spans which have ended, like the exporter of a process. */
import { Option, Tracer } from "effect"

export interface Recorded {
  readonly process: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | undefined
  readonly links: ReadonlyArray<string>
  readonly startTime: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  readonly outcome: "ok" | "interrupted" | string
}

export class SpanRecorder {
  readonly spans: Array<Recorded> = []

  /** The tracer of a process. `kill` ends its exporter: spans that end later are lost. */
  process(name: string, wrap: (tracer: Tracer.Tracer) => Tracer.Tracer = (tracer) => tracer) {
    const { spans } = this
    let alive = true
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        const { end } = span
        span.end = (time, exit) => {
          end.call(span, time, exit)
          if (!alive || !span.sampled) return
          spans.push({
            process: name,
            name: span.name,
            traceId: span.traceId,
            spanId: span.spanId,
            parentId: Option.getOrUndefined(span.parent)?.spanId,
            links: span.links.map((link) => link.span.spanId),
            startTime: span.status.startTime,
            attributes: Object.fromEntries(span.attributes),
            outcome: exit._tag === "Success"
              ? "ok"
              : exit.cause.reasons.map((reason) =>
                reason._tag === "Fail" ? String((reason.error as { message?: string }).message) : reason._tag
              ).join()
          })
        }
        return span
      }
    })
    return { tracer: wrap(tracer), kill: () => void (alive = false) }
  }

  /** The spans as a tree, one line each. A span whose parent is missing is marked with `?`. */
  get tree(): ReadonlyArray<string> {
    const { spans } = this
    const ids = new Set(spans.map(({ spanId }) => spanId))
    const lines = (children: ReadonlyArray<Recorded>, indent: string): ReadonlyArray<string> =>
      children.flatMap((span) => [
        `${indent}${span.parentId !== undefined && !ids.has(span.parentId) ? "? " : ""}${span.name} [${span.process}]${
          span.outcome === "ok" ? "" : ` ${span.outcome}`
        }`,
        ...lines(spans.filter(({ parentId }) => parentId === span.spanId), `${indent}  `)
      ])
    return lines(spans.filter(({ parentId }) => parentId === undefined || !ids.has(parentId)), "")
  }
}
