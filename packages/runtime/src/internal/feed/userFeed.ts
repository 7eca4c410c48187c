/**
 * The tasks and the disabled webhooks of one user as the readers of this process share them: read again after a hint, and every 15 seconds, because hints
 * may be lost. A reader compares its version with the versions of the tasks, so that a slow reader costs no memory (P6).
 */
import type { DisabledWebhook, FeedTask, FeedUpdate } from "@perennial/domain/Feed"
import type { TaskId, UserId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import type { Webhook } from "@perennial/domain/Webhook"
import { DateTime, Effect, Latch } from "effect"

/** The largest number of active tasks, and the largest number of ended tasks. */
const kept = 1_000
/** The newest tasks that are read each time, whatever their status: some may have begun and ended between two reads. */
const newest = 100
/** Concurrent reads of tasks that are not active any more. */
const concurrency = 8
/** A resumed reader gets the ends of this time before its cursor again: commits become visible out of order. */
const overlapMillis = 10_000

interface Entry {
  readonly task: FeedTask
  readonly version: number
}

const toFeedTask = ({ metadata: _metadata, ...task }: Task): FeedTask => task

const toDisabled = ({ disabled, id }: Webhook): ReadonlyArray<DisabledWebhook> =>
  disabled === undefined
    ? []
    : [{ id, disabledAt: DateTime.makeUnsafe(disabled.at), disabledReason: disabled.reason }]

/** What a change of is worth an update. The number of events is not. */
const stateOf = ({ attempt, error, status, title, waiting }: FeedTask): string =>
  JSON.stringify([status, attempt, waiting, title, error])

/** How far a reader is. */
export interface Position {
  /** The version that the reader has; undefined before the snapshot. */
  version: number | undefined
  /** The cursor of the newest update that the reader has, if there is one. */
  after: number | undefined
}

export class UserFeed {
  readonly #backend: TaskBackend["Service"]
  readonly #userId: UserId
  readonly #tasks = new Map<TaskId, Entry>()
  #disabled: ReadonlyArray<DisabledWebhook> = []
  /** The version with which the disabled webhooks changed. */
  #disabledVersion = 0
  #version = 0
  /** A reader with an older version has missed an end that is not kept any more. */
  #forgotten = 0
  #cursor = 0
  /** Opens with the next version. */
  #next = Latch.makeUnsafe(false)
  /** Open while the tasks may have changed since they were read. */
  readonly dirty = Latch.makeUnsafe(true)

  constructor(backend: TaskBackend["Service"], userId: UserId) {
    this.#backend = backend
    this.#userId = userId
  }

  /** Reads the tasks. A task that is active no more has ended or is gone. */
  get refresh() {
    return Effect.gen({ self: this }, function*() {
      const userId = this.#userId
      const active = yield* this.#backend.list({ userId, status: ["queued", "running"], limit: kept })
      const recent = yield* this.#backend.list({ userId, limit: newest })
      const read = new Map([...active, ...recent].map((task) => [task.id, task]))
      const missing = [...this.#tasks.values()].flatMap(({ task }) =>
        isTerminal(task.status) || read.has(task.id) ? [] : [task.id]
      )
      yield* Effect.forEach(missing, (id) =>
        Effect.matchEffect(this.#backend.get(id, { userId }), {
          onSuccess: (task) =>
            Effect.sync(() => {
              if (isTerminal(task.status)) read.set(id, task)
              else this.#tasks.delete(id)
            }),
          onFailure: (error) =>
            error._tag === "TaskNotFound" ? Effect.sync(() => this.#tasks.delete(id)) : Effect.fail(error)
        }), { concurrency, discard: true })
      this.#apply(read)
    })
  }

  #apply(tasks: ReadonlyMap<TaskId, Task>): void {
    const version = this.#version + 1
    let changed = this.#version === 0
    for (const read of tasks.values()) {
      const task = toFeedTask(read)
      const known = this.#tasks.get(task.id)
      const same = known !== undefined && stateOf(known.task) === stateOf(task)
      changed ||= !same
      // Newly changed tasks come last, so that the oldest ends are first.
      if (!same) this.#tasks.delete(task.id)
      this.#tasks.set(task.id, { task, version: same ? known.version : version })
      this.#cursor = Math.max(this.#cursor, DateTime.toEpochMillis(task.updatedAt))
    }
    let ended = 0
    for (const { task } of this.#tasks.values()) if (isTerminal(task.status)) ended++
    for (const [id, { task, version }] of this.#tasks) {
      if (ended <= kept) break
      // A task that is read each time would come back as a change.
      if (!isTerminal(task.status) || tasks.has(id)) continue
      this.#tasks.delete(id)
      this.#forgotten = Math.max(this.#forgotten, version)
      ended--
    }
    if (changed) this.#publish(version)
  }

  /** The webhooks of the user have been read. */
  setWebhooks(webhooks: ReadonlyArray<Webhook>): void {
    const disabled = webhooks.flatMap(toDisabled)
    if (JSON.stringify(disabled) === JSON.stringify(this.#disabled)) return
    this.#disabled = disabled
    // The snapshot is made of the first tasks. Until then there is no version.
    if (this.#version === 0) return
    this.#disabledVersion = this.#version + 1
    this.#publish(this.#disabledVersion)
  }

  #publish(version: number): void {
    this.#version = version
    this.#next.openUnsafe()
    this.#next = Latch.makeUnsafe(false)
  }

  /** The tasks that have ended since a cursor, among the newest 1,000 of the user. */
  #endedSince(after: number) {
    return Effect.map(
      this.#backend.list({ userId: this.#userId, status: ["completed", "error", "cancelled"], limit: kept }),
      (tasks) =>
        tasks.filter(({ updatedAt }) => DateTime.toEpochMillis(updatedAt) >= after - overlapMillis).map(toFeedTask)
    )
  }

  #snapshot(position: Position) {
    return Effect.gen({ self: this }, function*() {
      const ended = position.after === undefined ? [] : yield* this.#endedSince(position.after)
      // An ended task has its place in the snapshot once, also if it was still active when the feed read it.
      const ids = new Set(ended.map(({ id }) => id))
      const active = [...this.#tasks.values()].flatMap(({ task }) =>
        isTerminal(task.status) || ids.has(task.id) ? [] : [task]
      )
      return this.#move(position, "snapshot", [...active, ...ended])
    })
  }

  #move(position: Position, type: FeedUpdate["type"], tasks: ReadonlyArray<FeedTask>): FeedUpdate {
    const isTold = type === "snapshot" ? this.#disabled.length > 0 : this.#disabledVersion > (position.version ?? 0)
    position.version = this.#version
    position.after = this.#cursor
    return {
      type,
      tasks: tasks.toSorted((a, b) => a.id < b.id ? 1 : -1),
      cursor: this.#cursor,
      ...(isTold ? { disabledWebhooks: this.#disabled } : undefined)
    }
  }

  /** The next update of a reader, newest task first. Waits for the first read, and for a change. */
  pull(position: Position): Effect.Effect<FeedUpdate, TaskBackendError> {
    return Effect.suspend((): Effect.Effect<FeedUpdate, TaskBackendError> => {
      if (this.#version === 0) return Effect.andThen(this.#next.await, this.pull(position))
      const { version } = position
      if (version === undefined || version < this.#forgotten) return this.#snapshot(position)
      const changed = [...this.#tasks.values()].filter((entry) => entry.version > version)
      return changed.length === 0 && this.#disabledVersion <= version
        ? Effect.andThen(this.#next.await, this.pull(position))
        : Effect.succeed(this.#move(position, "changes", changed.map(({ task }) => task)))
    })
  }
}
