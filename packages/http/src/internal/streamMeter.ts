/** Measures the event streams of a server. */
import { Context, Metric } from "effect"

export interface StreamMeter {
  /** The number of open streams has changed. */
  readonly open: (count: number) => void
  /** A reader got a live event this many milliseconds after the event. */
  readonly delivered: (millis: number) => void
}

export const StreamMeter = Context.Reference<StreamMeter | undefined>("@perennial/http/StreamMeter", {
  defaultValue: () => undefined
})

const openStreams = Metric.gauge("perennial.streams.open", { description: "Open event streams." })

const lag = Metric.histogram("perennial.streams.lag", {
  description: "From a live event to its delivery to a reader.",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
  attributes: { unit: "s" }
})

export const streamMeter = (context: Context.Context<never>): StreamMeter => ({
  open: (count) => openStreams.updateUnsafe(count, context),
  delivered: (millis) => lag.updateUnsafe(Math.max(0, millis) / 1_000, context)
})
