/**
 * One hub per task that somebody in this process executes or watches: the newest events in memory, and a sliding PubSub
 * that wakes readers. A hub may drop, a reader never does: it falls back to the log (P3, P6).
 */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, size, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Effect, PubSub, type Scope } from "effect"

/** Events of one commit, in order; readers share the array and its objects. */
export type Batch = Arr.NonEmptyReadonlyArray<StoredEvent>

/** What a reader receives: events, or the hint to read the log. */
export type Signal = Batch | "readLog"

/** Batches a reader may be behind before it goes back to the log. */
const slots = 64
/** Larger batches are not kept for readers that stall: they are sent to the log. */
const slotBytes = 64 * 1024
/** Bounds of the tail of a task that runs here. */
const tailEvents = 256
const tailBytes = 512 * 1024

const bytesOf = (batch: Batch): number => batch.reduce((sum, stored) => sum + size(stored.event), 0)

export class Hub {
  readonly taskId: TaskId
  /** Highest seq known in this process. */
  lastSeq = 0
  /** Whether `lastSeq` is the terminal event. */
  ended = false
  readers = 0
  /** The use of this hub by the execution that owns the task here: then every event passes through `publish`. */
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

  /** Hands a committed batch to the readers. Whoever is too slow loses its oldest slots and reads the log instead. */
  publish(batch: Batch): Effect.Effect<void> {
    const last = batch[batch.length - 1] ?? batch[0]
    this.lastSeq = Math.max(this.lastSeq, last.seq)
    this.ended ||= isTerminal(last.event)
    if (this.local) this.#keep(batch)
    if (this.#pubsub === undefined) return Effect.void
    return PubSub.publish(this.#pubsub, bytesOf(batch) > slotBytes ? "readLog" : batch)
  }

  /**
   * A reader saw the log end here. The others are sent to it: what they miss will not be published, since publishing
   * goes on from `lastSeq`.
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
        // Another reader may have been faster: all must listen to the same one.
        ? Effect.flatMap(PubSub.sliding<Signal>(slots), (pubsub) => PubSub.subscribe(this.#pubsub ??= pubsub))
        : PubSub.subscribe(this.#pubsub)
    )
  }

  /** The last reader left: what only readers need goes. */
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

  /** This execution writes to the log no more. */
  disown(): void {
    if (this.#hub.owner !== this) return
    this.#hub.owner = undefined
    this.#hub.dropTail()
    this.#hubs.disowned(this.#hub)
  }
}

/** The hubs of a process. A hub exists while its task runs here or somebody reads it. */
export class Hubs {
  readonly #hubs = new Map<TaskId, Hub>()
  readonly #onDisowned: (taskId: TaskId) => void

  constructor(onDisowned: (taskId: TaskId) => void) {
    this.#onDisowned = onDisowned
  }

  get(taskId: TaskId): Hub | undefined {
    return this.#hubs.get(taskId)
  }

  /** Tasks that somebody reads. */
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
