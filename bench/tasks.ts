/**
 * Perennial on one store, without HTTP.
 */
import * as Agent from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Usage from "@perennial/domain/Usage"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { Effect, Fiber, Latch, Layer, ManagedRuntime, Stream } from "effect"
import { type Engine, runJobs, value } from "./engine.ts"
import { serve } from "./ipc.ts"
import { message } from "./server.ts"
import { layer, type StoreName } from "./stores.ts"
import * as Telemetry from "./telemetry.ts"

const go = Latch.makeUnsafe()
let values = 0

/** A task of one step, a message. */
const job = Agent.make(
  "job",
  Effect.fnUntraced(function*(_, emit) {
    yield* emit([{ type: "message", message, usage: Usage.zero }])
    return { usage: Usage.zero }
  })
)

/** An agent that emits values after `go` is open. */
const writer = Agent.make(
  "writer",
  Effect.fnUntraced(function*(_, emit) {
    yield* go.await
    for (let i = 0; i < values; i++) yield* emit([{ type: "text", content: value(i) }])
    return { usage: Usage.zero }
  })
)

const runtime = ManagedRuntime.make(
  Telemetry.runtime.pipe(
    Layer.provide(Agent.Agents.layer([job, writer])),
    Layer.provide(layer(process.env["BENCH_STORE"] as StoreName, process.env["BENCH_URL"] ?? "")),
    Layer.provide(TaskLimits.layer({ capacity: 100_000 })),
    Layer.provide(Telemetry.exporter)
  )
)

const manager = await runtime.runPromise(TaskManager)

const startWriters = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => manager.start({ message: "go", agentId: writer.agentId }))

/** Tasks that emit values concurrently. Returns the milliseconds until all have ended. */
const appends = Effect.fnUntraced(function*(options: { readonly tasks: number; readonly values: number }) {
  yield* go.close
  values = options.values
  const tasks = yield* startWriters(options.tasks)
  const from = performance.now()
  yield* go.open
  yield* Effect.forEach(tasks, ({ id }) => manager.await(id), { concurrency: "unbounded", discard: true })
  return performance.now() - from
})

const stream = Effect.fnUntraced(function*(options: { readonly values: number; readonly readers: number }) {
  yield* go.close
  values = options.values
  const [task] = yield* startWriters(1)
  if (task === undefined) return yield* Effect.die(new Error("no task"))
  const readers = yield* Effect.forEach(
    Array.from({ length: options.readers }),
    () =>
      Effect.flatMap(
        manager.events(task.id),
        (events) =>
          Effect.forkChild(
            Stream.runFold(events, () => 0, (seen, { event }) => event.type === "text" ? seen + 1 : seen)
          )
      )
  )
  const from = performance.now()
  yield* go.open
  for (const reader of readers) {
    const seen = yield* Fiber.join(reader)
    if (seen !== options.values) return yield* Effect.die(new Error(`a reader saw ${seen} of ${options.values}`))
  }
  return performance.now() - from
})

/** The milliseconds from the call of `start` to the first event of the owner, one task after the other. */
const firstEvents = Effect.fnUntraced(function*({ count }: { readonly count: number }) {
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const from = performance.now()
    const { id } = yield* manager.start({ message: "go", agentId: job.agentId })
    yield* Stream.runHead(yield* manager.events(id, { after: 1 }))
    times.push(performance.now() - from)
  }
  return times
})

const start = async () => {
  const task = await runtime.runPromise(manager.start({ message: "go", agentId: job.agentId }))
  return { ended: runtime.runPromise(manager.await(task.id)) }
}

const handlers = {
  jobs: (options) => runJobs(options, start),
  stream: (options) => runtime.runPromise(stream(options)),
  appends: (options: { readonly tasks: number; readonly values: number }) => runtime.runPromise(appends(options)),
  firstEvents: (options: { readonly count: number }) => runtime.runPromise(firstEvents(options)),
  /** Milliseconds of user and system CPU time since the start of the process. */
  cpuMillis: () => {
    const { system, user } = process.cpuUsage()
    return (system + user) / 1_000
  }
} satisfies Engine & { readonly appends: unknown; readonly cpuMillis: unknown; readonly firstEvents: unknown }

export type Tasks = typeof handlers

serve(handlers)
