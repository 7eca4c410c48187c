/** The metrics of tasks, by their names in OpenTelemetry. docs/telemetry.md lists them. */
import { type Context, Metric } from "effect"

type Attributes = Readonly<Record<string, string>>
type Series = Metric.Metric<number, unknown>

/** A metric has a series for each combination of attributes. The attributes have few values, so all series are kept. */
class TaskMetric {
  readonly #make: (attributes: Attributes) => Series
  readonly #series = new Map<string, Series>()

  constructor(make: (attributes: Attributes) => Series) {
    this.#make = make
  }

  /** `Metric.withAttributes` would merge and sort the attributes again at each update. */
  of(attributes: Attributes): Series {
    const values = Object.values(attributes).join("\u0000")
    let series = this.#series.get(values)
    if (series === undefined) this.#series.set(values, series = this.#make(attributes))
    return series
  }
}

const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const longSeconds = [...seconds, 300, 1_800, 7_200, 86_400]
const storeSeconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
const counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
const tokenCounts = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576]

const counter = (name: string, description: string) =>
  new TaskMetric((attributes) => Metric.counter(name, { description, incremental: true, attributes }))
const gauge = (name: string, description: string) =>
  new TaskMetric((attributes) => Metric.gauge(name, { description, attributes }))
const histogram = (name: string, description: string, boundaries: ReadonlyArray<number>, unit?: string) =>
  new TaskMetric((attributes) =>
    Metric.histogram(name, {
      description,
      boundaries,
      attributes: unit === undefined ? attributes : { unit, ...attributes }
    })
  )

export const accepted = counter("perennial.tasks.accepted", "Tasks accepted by this process.")
export const ended = counter("perennial.tasks.ended", "Tasks that this process ended, by status.")
export const active = gauge("perennial.tasks.active", "Tasks that this process owns now.")
export const waiting = gauge(
  "perennial.tasks.waiting",
  "Tasks without an owner that the last sweep found: never begun, or interrupted."
)
export const attempts = counter(
  "perennial.task.attempts",
  "Attempts begun: the first, after a hand-over, or after the owner died."
)
export const queueWait = histogram(
  "perennial.task.queue.duration",
  "From acceptance to the first attempt.",
  longSeconds,
  "s"
)
export const firstEvent = histogram(
  "perennial.task.first_event.duration",
  "From acceptance to the first event of the agent.",
  longSeconds,
  "s"
)
export const duration = histogram("perennial.task.duration", "From acceptance to the end.", longSeconds, "s")
export const steps = counter("perennial.steps", "Complete answers of models.")
export const tokens = counter("perennial.tokens", "Tokens of model requests, by type.")
export const toolDuration = histogram("perennial.tool.duration", "Executions of tools, by result.", seconds, "s")
export const commitDuration = histogram("perennial.commit.duration", "Commits of events.", storeSeconds, "s")
export const commitEvents = histogram("perennial.commit.events", "Events of one commit.", counts)
export const commitTasks = histogram("perennial.commit.tasks", "Tasks whose events are in one commit.", counts)
export const claimsLost = counter("perennial.claims.lost", "Claims that another process took over.")
export const leaseDuration = histogram("perennial.lease.renewal.duration", "Renewals of the lease.", storeSeconds, "s")
export const storeErrors = counter("perennial.store.errors", "Failures of the store, by operation.")
export const modelDuration = histogram(
  "gen_ai.client.operation.duration",
  "Model requests, until the answer is complete.",
  seconds,
  "s"
)
export const modelTokens = histogram("gen_ai.client.token.usage", "Tokens of one model request.", tokenCounts)

const none: Attributes = {}

/** `attributes` have few values, and for one metric always the same keys in the same order. */
export const update = (
  context: Context.Context<never>,
  metric: TaskMetric,
  value: number,
  attributes = none
): void => metric.of(attributes).updateUnsafe(value, context)
