/**
 * The readers of this process: hubs pass on events as they are committed, a cache has the older events of logs, and a tailer
 * follows tasks that other processes execute (P3, P6).
 *
 * @since 0.1.0
 */
import type { FeedUpdate } from "@perennial/domain/Feed"
import type { TaskId, UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StreamLost, TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { type Array as Arr, Context, Effect, type Latch, Layer, type Scope, type Stream } from "effect"
import * as Feeds from "./internal/feed/feeds.ts"
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
  /** Shows events that have just become durable (P5). Does not wait for readers. */
  readonly publish: (events: Arr.NonEmptyReadonlyArray<StoredEvent>) => Effect.Effect<void>
  /** From now on another process may write to the log, and readers follow the log in the store. May be called again. */
  readonly disown: () => void
}

/**
 * @since 0.1.0
 * @category services
 */
export class TaskReaders extends Context.Service<TaskReaders, {
  /** The events of a task after a seq, including the terminal event. Does not check whether the task exists. */
  readonly read: (id: TaskId, after: number) => Stream.Stream<StoredEvent, StreamLost>

  /** The log of a task grew without a publisher of this process. Its readers here read the log. */
  readonly logGrew: (id: TaskId) => Effect.Effect<void>

  /** The logs and records of any tasks may have changed. All readers here read them. */
  readonly recheckAll: Effect.Effect<void>

  /** This process writes to the log of a user's task until `disown`. `lastSeq` is the seq of the newest event so far. */
  readonly own: (id: TaskId, lastSeq: number, userId: UserId) => Publisher

  /** How the tasks of a user are, after a cursor of an earlier update: first all that is active, then what changes. */
  readonly feed: (userId: UserId, after: number | undefined) => Stream.Stream<FeedUpdate, TaskBackendError>

  /**
   * A latch that opens whenever tasks of the user may have been accepted or have changed, until the scope closes. Hints may be
   * lost: look from time to time, too.
   */
  readonly changes: (userId: UserId) => Effect.Effect<Latch.Latch, never, Scope.Scope>

  /** A task of the user was accepted, or its record has changed. */
  readonly tasksChanged: (userId: UserId) => Effect.Effect<void>
}>()("@perennial/runtime/TaskReaders") {
  /** The readers of this process. */
  static readonly layer: Layer.Layer<TaskReaders, never, TaskBackend> = Layer.effect(
    TaskReaders,
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const { pageCacheBytes } = yield* CurrentTaskLimits
      // Readers of a disowned task follow it in the same way as tasks of other processes.
      const hubs = new Hubs((id) => tailer.logGrewUnsafe(id))
      const cache = new LogCache(backend, pageCacheBytes)
      const tailer = yield* Tailer.make(backend, hubs)
      const feeds = yield* Feeds.make(backend, yield* Effect.serviceOption(WebhookStore))

      return TaskReaders.of({
        own: (id, lastSeq, userId) => {
          const hub = hubs.own(id, lastSeq)
          return {
            publish: (events) =>
              Effect.andThen(
                hub.publish(events),
                Effect.sync(() => {
                  if (events.some(Feeds.isShown)) feeds.changedUnsafe(userId)
                })
              ),
            disown: () => hub.disown()
          }
        },
        feed: feeds.read,
        changes: feeds.changes,
        tasksChanged: feeds.changed,
        read: (id, after) => read(hubs, cache, id, after),
        logGrew: tailer.logGrew,
        recheckAll: Effect.andThen(tailer.recheckAll, feeds.recheckAll)
      })
    })
  )
}
