/**
 * A hub for each task that this process executes or watches: the newest events in memory, and a sliding PubSub that wakes
 * readers. A hub may drop events. A reader then reads the log, so that it misses nothing (P3, P6).
 */
import { size } from "@perennial/domain/EventPayload"
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Effect, PubSub, type Scope } from "effect"

/** The events of one commit, in order. Readers share the array and its objects. */
export type Batch = Arr.NonEmptyReadonlyArray<StoredEvent>

/** What a reader receives: events, or the hint to read the log. */
export type Signal = Batch | "readLog"

/** A reader that is behind by more batches than this reads the log. */
const slots = 64
/** Larger batches are not kept for stalled readers. Those read the log instead. */
const slotBytes = 64 * 1024
/** Bounds of the tail of a task that runs here. */
const tailEvents = 256
const tailBytes = 512 * 1024

const bytesOf = (batch: Batch): number => batch.reduce((sum, stored) => sum + size(stored.event), 0)

export class Hub {
  readonly taskId: TaskId
  /** The highest seq that this process knows. */
  lastSeq = 0
  /** Whether `lastSeq` is the terminal event. */
  ended = false
  readers = 0
  /** The execution that owns the task here, if there is one. Then every event passes through `publish`. */
  owner: OwnedHub | undefined
  #pubsub: PubSub.PubSub<Signal> | undefined
  #tail: Array<StoredEvent> = []
  #tailBytes = 0

  constructor(taskId: TaskId) {
    this.taskId = taskId
  }

  /** Whether the task runs here. */
  get local(): boolean {
    return this.owner !== undefined
  }

  /** Passes a committed batch to the readers. A reader that is too slow loses its oldest batches, and reads the log instead. */
  publish(batch: Batch): Effect.Effect<void> {
    const last = batch[batch.length - 1] ?? batch[0]
    this.lastSeq = Math.max(this.lastSeq, last.seq)
    this.ended ||= isTerminal(last.event)
    if (this.local) this.#keep(batch)
    if (this.#pubsub === undefined) return Effect.void
    return PubSub.publish(this.#pubsub, bytesOf(batch) > slotBytes ? "readLog" : batch)
  }

  /**
   * A reader has found that the log ends here. The other readers are sent to the log: events before `lastSeq` will not be
   * published.
   */
  learn(lastSeq: number): Effect.Effect<void> {
    this.lastSeq = Math.max(this.lastSeq, lastSeq)
    return this.readers > 1 ? this.sendToLog : Effect.void
  }

  /** Sends the readers to the log. */
  get sendToLog(): Effect.Effect<void> {
    return Effect.suspend(() => this.#pubsub === undefined ? Effect.void : PubSub.publish(this.#pubsub, "readLog"))
  }

  /** The events after a cursor, if memory still holds all of them. */
  tailAfter(cursor: number): Batch | undefined {
    const first = this.#tail[0]
    if (first === undefined || first.seq > cursor + 1) return undefined
    const [head, ...rest] = this.#tail.slice(cursor + 1 - first.seq)
    return head === undefined ? undefined : [head, ...rest]
  }

  dropTail(): void {
    this.#tail = []
    this.#tailBytes = 0
  }

  get subscribe(): Effect.Effect<PubSub.Subscription<Signal>, never, Scope.Scope> {
    return Effect.suspend(() =>
      this.#pubsub === undefined
        // Another reader may have made the PubSub: all readers must use the same one.
        ? Effect.flatMap(PubSub.sliding<Signal>(slots), (pubsub) => PubSub.subscribe(this.#pubsub ??= pubsub))
        : PubSub.subscribe(this.#pubsub)
    )
  }

  /** Called after the last reader. Frees the memory that only readers need. */
  dropPubSub(): void {
    this.#pubsub = undefined
  }

  #keep(batch: Batch): void {
    for (const stored of batch) this.#tailBytes += size(stored.event)
    // `push` would make room for 16 more.
    if (this.#tail.length < 4) this.#tail = this.#tail.concat(batch)
    else this.#tail.push(...batch)
    if (this.#tail.length <= 2 * tailEvents && this.#tailBytes <= 2 * tailBytes) return
    let bytes = 0
    let from = this.#tail.length
    while (from > 0 && this.#tail.length - from < tailEvents && bytes < tailBytes) {
      from--
      const stored = this.#tail[from]
      bytes += stored === undefined ? 0 : size(stored.event)
    }
    this.#tail = this.#tail.slice(from)
    this.#tailBytes = bytes
  }
}

/** The use of a hub by one execution of its task. */
export class OwnedHub {
  readonly #hub: Hub
  readonly #hubs: Hubs

  constructor(hub: Hub, hubs: Hubs) {
    this.#hub = hub
    this.#hubs = hubs
  }

  publish(batch: Batch): Effect.Effect<void> {
    return this.#hub.owner === this ? this.#hub.publish(batch) : Effect.void
  }

  /** This execution does not write to the log any more. */
  disown(): void {
    if (this.#hub.owner !== this) return
    this.#hub.owner = undefined
    this.#hub.dropTail()
    this.#hubs.disowned(this.#hub)
  }
}

/** The hubs of a process. A hub exists while its task runs here or has readers here. */
export class Hubs {
  readonly #hubs = new Map<TaskId, Hub>()
  readonly #onDisowned: (taskId: TaskId) => void

  constructor(onDisowned: (taskId: TaskId) => void) {
    this.#onDisowned = onDisowned
  }

  get(taskId: TaskId): Hub | undefined {
    return this.#hubs.get(taskId)
  }

  /** The tasks with readers. */
  get watched(): ReadonlyArray<Hub> {
    return [...this.#hubs.values()].filter((hub) => hub.readers > 0)
  }

  /** Opens the hub of a task that runs here from now on. */
  own(taskId: TaskId, lastSeq: number): OwnedHub {
    const hub = this.#obtain(taskId)
    hub.lastSeq = Math.max(hub.lastSeq, lastSeq)
    return hub.owner = new OwnedHub(hub, this)
  }

  /** A task does not run here any more. */
  disowned(hub: Hub): void {
    this.#collect(hub)
    this.#onDisowned(hub.taskId)
  }

  /** A reader's use of a hub, for the length of a scope. */
  attach(taskId: TaskId): Effect.Effect<Hub, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const hub = this.#obtain(taskId)
        hub.readers++
        return hub
      }),
      (hub) =>
        Effect.sync(() => {
          hub.readers--
          this.#collect(hub)
        })
    )
  }

  #obtain(taskId: TaskId): Hub {
    let hub = this.#hubs.get(taskId)
    if (hub === undefined) this.#hubs.set(taskId, hub = new Hub(taskId))
    return hub
  }

  #collect(hub: Hub): void {
    if (hub.readers > 0) return
    hub.dropPubSub()
    if (!hub.local) this.#hubs.delete(hub.taskId)
  }
}
