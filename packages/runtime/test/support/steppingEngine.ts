/**
 * An engine that differs from the local engine on purpose. It owns its executions itself, takes heads from a queue, and
 * releases a task after each step, as if it moved the task to another machine.
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
    /** The tasks in the queue and the tasks of workers. */
    const present = new Set<TaskId>()
    /** The number of workers without a task. */
    let idle = 0
    let draining = false

    /** While a task only waits, a new worker takes the next head. */
    const place: TaskPlace = {
      whileWaiting: (wait) => Effect.andThen(startWorker, wait),
      openCalls: () => {},
      callEnded: Effect.void,
      isMoving: false
    }

    /** Waits for the end of a step: a durable `message` or `tool_result`. */
    const endOfStep = Effect.fnUntraced(function*({ taskId }: Head) {
      const { lastSeq } = yield* backend.get(taskId)
      // The claim first writes `started` or `resumed`.
      yield* readers.read(taskId, lastSeq).pipe(
        Stream.filter(({ event }) => isBoundary(event) && event.type !== "started"),
        Stream.runHead
      )
    }, (waiting) => Effect.ignore(waiting))

    /** Executes one step of a task. Returns the head that its end promoted, or the present head of the task, if there is one. */
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
    yield* Supervision.make({
      execute,
      free: () => idle,
      unclaimed: () => present.size,
      freed,
      onNoneLeft: () => {}
    })

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
