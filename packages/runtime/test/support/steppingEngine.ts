/**
 * An engine that is unlike the local one on purpose: it owns its executions itself, takes heads from a queue, and gives
 * every task up after each step, as if it moved the task to another machine.
 */
import { Agents } from "@perennial/domain/Agent"
import type { TaskId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { CapacityExceeded } from "@perennial/domain/TaskError"
import { isBoundary } from "@perennial/domain/TaskEvent"
import * as Supervision from "@perennial/runtime/Supervision"
import { TaskEngine } from "@perennial/runtime/TaskEngine"
import { TaskExecutor } from "@perennial/runtime/TaskExecutor"
import { CurrentTaskLimits } from "@perennial/runtime/TaskLimits"
import type { TaskPlace } from "@perennial/runtime/TaskPlace"
import { TaskReaders } from "@perennial/runtime/TaskReaders"
import { Effect, Fiber, FiberSet, Latch, Layer, Option, Queue, Stream } from "effect"

export const layer = Layer.effect(
  TaskEngine,
  Effect.gen(function*() {
    const agents = yield* Agents
    const backend = yield* TaskBackend
    const executor = yield* TaskExecutor
    const limits = yield* CurrentTaskLimits
    const readers = yield* TaskReaders
    const heads = yield* Queue.unbounded<Head>()
    const workers = yield* FiberSet.make<void>()
    const freed = Latch.makeUnsafe(false)
    /** Tasks that are here: in the queue or with a worker. */
    const present = new Set<TaskId>()
    /** Workers whose task only waits let another worker take the next head. */
    let idle = 0
    let draining = false

    const place: TaskPlace = {
      whileWaiting: (wait) => Effect.andThen(startWorker, wait),
      openCalls: () => {},
      callEnded: Effect.void
    }

    /** Waits for the end of a step: what the agent has said or done is durable. */
    const endOfStep = Effect.fnUntraced(function*({ taskId }: Head) {
      const { lastSeq } = yield* backend.get(taskId)
      // The claim writes `started` or `resumed` first.
      yield* readers.read(taskId, lastSeq).pipe(
        Stream.filter(({ event }) => isBoundary(event) && event.type !== "started"),
        Stream.runHead
      )
    }, (waiting) => Effect.ignore(waiting))

    /** Executes a task for one step; none if it has ended or is owned elsewhere, else its present head. */
    const step = Effect.fnUntraced(function*(head: Head) {
      const execution = yield* Effect.forkScoped(executor.execute(head, place))
      yield* Effect.raceFirst(Fiber.await(execution), endOfStep(head))
      yield* Fiber.interrupt(execution)
      const promoted = execution.pollUnsafe()
      return promoted?._tag === "Success" && Option.isSome(promoted.value)
        ? promoted.value
        : yield* Effect.orElseSucceed(backend.head(head.taskId), () => Option.none<Head>())
    }, Effect.scoped)

    const work = Effect.gen(function*() {
      idle++
      const head = yield* Effect.ensuring(Queue.take(heads), Effect.sync(() => idle--))
      const next = yield* step(head)
      present.delete(head.taskId)
      if (Option.isSome(next)) yield* submit(next.value)
      freed.openUnsafe()
    })
    const startWorker = Effect.asVoid(FiberSet.run(workers, Effect.forever(work)))

    const execute = (head: Head) =>
      Effect.suspend(() => {
        if (draining || present.has(head.taskId)) return Effect.void
        present.add(head.taskId)
        return Effect.asVoid(Queue.offer(heads, head))
      })
    const submit = (head: Head): Effect.Effect<void> => agents.ids.includes(head.agentId) ? execute(head) : Effect.void

    yield* Effect.replicateEffect(startWorker, limits.capacity, { discard: true })
    yield* Supervision.make({ execute, free: () => idle, freed, onNoneLeft: () => {} })

    const drain = Effect.suspend(() => {
      draining = true
      return FiberSet.clear(workers)
    })
    yield* Effect.addFinalizer(() => drain)

    return TaskEngine.of({
      submit,
      forget: (id) => Effect.sync(() => present.delete(id)),
      admission: Effect.suspend(() =>
        present.size >= limits.capacity + limits.waiting
          ? Effect.fail(new CapacityExceeded({ limit: limits.waiting }))
          : Effect.void
      ),
      drain
    })
  })
)
