/**
 * The cost of the runtime without HTTP: events from the agent to readers, and memory.
 */
import { Agents } from "@perennial/domain/Agent"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Fiber, Latch, Layer, ManagedRuntime, Stream } from "effect"
import { agent, command } from "./agent.ts"
import { now, serve } from "./ipc.ts"
import { resources } from "./server.ts"

const runtime = ManagedRuntime.make(
  TaskRuntime.layerMemory.pipe(
    Layer.provide(Agents.layer([agent])),
    Layer.provide(TaskLimits.layer({ capacity: 200_000 }))
  )
)

/** Starts a task and readers. Returns when each reader has the first two events and waits for the next one. */
const watched = Effect.fnUntraced(function*(readers: number, onEvent: (stored: StoredEvent) => void) {
  const manager = yield* TaskManager
  const task = yield* manager.start({ message: "emit" })
  const fibers: Array<Fiber.Fiber<void, unknown>> = []
  for (let i = 0; i < readers; i++) {
    const caughtUp = Latch.makeUnsafe()
    const events = yield* manager.events(task.id)
    const read = Stream.runForEach(
      events,
      (stored) => stored.seq > 2 ? Effect.sync(() => onEvent(stored)) : stored.seq === 2 ? caughtUp.open : Effect.void
    )
    fibers.push(yield* Effect.forkChild(read))
    yield* caughtUp.await
  }
  return { task, fibers }
})

const handlers = {
  /** Returns times in milliseconds. A latency is the time from before `emit` until a reader has the event. */
  deliver: (options: { readonly readers: number; readonly count: number }) =>
    runtime.runPromise(Effect.gen(function*() {
      const latencies: Array<number> = []
      const { fibers, task } = yield* watched(options.readers, ({ event }) => {
        if (event.type === "text") latencies.push(now() - Number.parseFloat(event.content))
      })
      const from = now()
      command({ taskId: task.id, count: options.count })
      yield* Fiber.awaitAll(fibers)
      const millis = now() - from
      if (latencies.length !== options.readers * options.count) {
        return yield* Effect.die(new Error(`${latencies.length} events were delivered`))
      }
      // All readers get an event at nearly the same time, so measuring a few of them is sufficient.
      const step = Math.ceil(latencies.length / 5_000)
      return { millis, latencies: latencies.filter((_, i) => i % step === 0) }
    })),

  /** The heap, in bytes, of a reader that waits for the next event. */
  readerHeap: (readers: number) =>
    runtime.runPromise(Effect.gen(function*() {
      const { fibers: [warm] } = yield* watched(100, () => {})
      const before = yield* Effect.promise(resources)
      const { fibers } = yield* watched(readers, () => {})
      const after = yield* Effect.promise(resources)
      yield* Fiber.interruptAll(warm === undefined ? fibers : [...fibers, warm])
      return (after.heapBytes - before.heapBytes) / readers
    })),

  /**
   * Starts tasks whose agents wait. Returns the heap bytes of each task, the resident bytes of the process, and the
   * milliseconds of one more start, from the call until a reader has its first two events.
   */
  waitingTasks: (tasks: number) =>
    runtime.runPromise(Effect.gen(function*() {
      yield* watched(1, () => {})
      const before = yield* Effect.promise(resources)
      for (let i = 0; i < tasks; i++) yield* watched(0, () => {})
      const after = yield* Effect.promise(resources)
      const from = now()
      yield* watched(1, () => {})
      const millis = now() - from
      return { heapBytes: (after.heapBytes - before.heapBytes) / tasks, rssBytes: after.rssBytes, millis }
    }))
}

export type InProcess = typeof handlers

serve(handlers)
