/**
 * The bound on event streams that follows from the files that a process may open. A connection is an open file. A process
 * without a free file descriptor accepts no connection, not even for `/ready`.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { MaxStreams } from "./maxStreams.ts"

/** A part of the diagnostic report of Node.js. Windows has no such limits. */
const Report = Schema.Struct({
  userLimits: Schema.Struct({
    open_files: Schema.Struct({ soft: Schema.Union([Schema.Natural, Schema.Literal("unlimited")]) })
  })
})

const decode = Schema.decodeUnknownOption(Report)

const fallback = MaxStreams.defaultValue()

/**
 * A fifth of the files, and at least 64, are left for the process itself, for the store, for other requests and for
 * connections that wait for a request.
 */
export const maxStreamsOf = (report: unknown): number =>
  Option.match(decode(report), {
    onNone: () => fallback,
    onSome: ({ userLimits: { open_files: { soft } } }) =>
      soft === "unlimited" ? fallback : Math.max(1, Math.min(fallback, soft - 64, Math.floor(soft * 0.8)))
  })

/** The report without the names of peers. To look them up would block the process. */
const readReport = Effect.sync(() => {
  const { report } = process
  // Node.js 22.13. Its types do not have it.
  const before: unknown = Reflect.get(report, "excludeNetwork")
  Reflect.set(report, "excludeNetwork", true)
  try {
    return report.getReport()
  } finally {
    Reflect.set(report, "excludeNetwork", before)
  }
})

/** The default of servers on Node.js. */
export const layerMaxStreams: Layer.Layer<never> = Layer.effect(MaxStreams, Effect.map(readReport, maxStreamsOf))
