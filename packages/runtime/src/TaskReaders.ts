/**
 * The readers of this process: hubs that pass events of tasks on as they are committed, a cache of the log for everything
 * older, and a tailer for tasks that other processes execute (P3, P6).
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StreamLost } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Context, Effect, Layer, type Stream } from "effect"
import { Hubs } from "./internal/log/hub.ts"
import { LogCache } from "./internal/log/logCache.ts"
import { read } from "./internal/log/reader.ts"
import * as Tailer from "./internal/log/tailer.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * Shows the events of a task that this process executes to the readers of this process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Publisher {
  /** Shows events that have just become durable (P5). Waits for no reader. */
  readonly publish: (events: Arr.NonEmptyReadonlyArray<StoredEvent>) => Effect.Effect<void>
  /** From now on another process may write to the log: readers follow it in the store. Again is harmless. */
  readonly disown: () => void
}

/**
 * @since 0.1.0
 * @category services
 */
export class TaskReaders extends Context.Service<TaskReaders, {
  /** The events of a task after a seq, up to and with the terminal one. Does not check whether the task exists. */
  readonly read: (id: TaskId, after: number) => Stream.Stream<StoredEvent, StreamLost>

  /** The log of a task grew without a publisher of this process: readers of the task here read on. */
  readonly logGrew: (id: TaskId) => Effect.Effect<void>

  /** The logs of any tasks may have grown: every reader here reads on. */
  readonly recheckAll: Effect.Effect<void>

  /** This process writes to the log of a task from now on, until `disown`. `lastSeq` is the newest event so far. */
  readonly own: (id: TaskId, lastSeq: number) => Publisher
}>()("@perennial/runtime/TaskReaders") {
  /** The readers of this process. */
  static readonly layer: Layer.Layer<TaskReaders, never, TaskBackend> = Layer.effect(
    TaskReaders,
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const { pageCacheBytes } = yield* CurrentTaskLimits
      // Readers of a task that is disowned follow it as they follow tasks of other processes.
      const hubs = new Hubs((id) => tailer.logGrewUnsafe(id))
      const cache = new LogCache(backend, pageCacheBytes)
      const tailer = yield* Tailer.make(backend, hubs)

      return TaskReaders.of({
        own: (id, lastSeq) => hubs.own(id, lastSeq),
        read: (id, after) => read(hubs, cache, id, after),
        logGrew: tailer.logGrew,
        recheckAll: tailer.recheckAll
      })
    })
  )
}
