/**
 * A reader is a cursor. First it subscribes to the hub. Then it reads the log up to the newest event that this process knows.
 * Then it follows the hub: it skips events that it has, delivers the next one, and returns to the log after any gap (P3).
 */
import type { TaskId } from "@perennial/domain/Ids"
import { StreamLost } from "@perennial/domain/TaskError"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Cause, Effect, PubSub, type Pull, Stream } from "effect"
import type { Batch, Hub, Hubs, Signal } from "./hub.ts"
import type { LogCache, Page } from "./logCache.ts"

const isBatch = (events: ReadonlyArray<StoredEvent>): events is Batch => events.length > 0

class Reader {
  readonly #hub: Hub
  readonly #cache: LogCache
  readonly #live: PubSub.Subscription<Signal>
  #cursor: number
  #behind = true
  #ended = false
  #doubts = 0

  constructor(hub: Hub, cache: LogCache, live: PubSub.Subscription<Signal>, after: number) {
    this.#hub = hub
    this.#cache = cache
    this.#live = live
    this.#cursor = after
  }

  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<StoredEvent>, StreamLost> = Effect.suspend(() => {
    // A cursor that is already beyond the end of the hub learns of the end here.
    if (this.#ended || (this.#hub.ended && this.#cursor >= this.#hub.lastSeq)) return Cause.done()
    return this.#behind ? this.#readLog : this.#readLive
  })

  #deliver(batch: Batch): Effect.Effect<Batch> {
    const last = batch[batch.length - 1] ?? batch[0]
    this.#cursor = last.seq
    this.#doubts = 0
    this.#ended = isTerminal(last.event)
    return Effect.succeed(batch)
  }

  readonly #readLog: Pull.Pull<Batch, StreamLost> = Effect.suspend(() => {
    const tail = this.#hub.tailAfter(this.#cursor)
    if (tail !== undefined) return this.#deliver(tail)
    if (this.#hub.local && this.#cursor === this.#hub.lastSeq) {
      if (this.#hub.ended) return Cause.done()
      this.#behind = false
      return this.#readLive
    }
    return this.#cache.after(this.#hub.taskId, this.#cursor).pipe(
      Effect.mapError((error) => this.#lost(error.message)),
      Effect.flatMap((page): Pull.Pull<Batch, StreamLost> => {
        if (page.lastSeq > this.#hub.lastSeq) return Effect.andThen(this.#hub.learn(page.lastSeq), this.#take(page))
        return this.#take(page)
      })
    )
  })

  #take(page: Page): Pull.Pull<Batch, StreamLost> {
    if (isBatch(page.events)) return this.#deliver(page.events)
    if (this.#cursor < this.#hub.lastSeq) {
      // The shared read may have begun before the newest commit. The next shared read may have done so, too, but not the read
      // after that one.
      if (this.#doubts === 2) return Effect.fail(this.#lost("the log ends before events already seen"))
      this.#doubts++
      return this.pull
    }
    // The cursor is at the terminal event: no further event will ever come.
    if (page.ended) return Cause.done()
    this.#behind = false
    return this.#readLive
  }

  readonly #readLive: Pull.Pull<Batch, StreamLost> = Effect.suspend(() =>
    Effect.flatMap(PubSub.takeAll(this.#live), (signals): Pull.Pull<Batch, StreamLost> => {
      const next = this.#contiguous(signals)
      return next === undefined ? this.pull : this.#deliver(next)
    })
  )

  /** The events after the cursor. A whole batch is passed on unchanged, so that all readers share its encoding. */
  #contiguous(signals: ReadonlyArray<Signal>): Batch | undefined {
    let out: Batch | undefined
    let cursor = this.#cursor
    for (const batch of signals) {
      if (batch === "readLog") {
        this.#behind = true
        continue
      }
      const first = batch[0].seq
      const last = first + batch.length - 1
      if (last <= cursor) continue
      if (first > cursor + 1) {
        this.#behind = true
        break
      }
      const fresh = first === cursor + 1 ? batch : batch.slice(cursor + 1 - first)
      if (isBatch(fresh)) out = out === undefined ? fresh : [...out, ...fresh]
      cursor = last
    }
    return out
  }

  #lost(reason: string): StreamLost {
    return new StreamLost({ taskId: this.#hub.taskId, after: this.#cursor, reason: reason.replace(/\.$/, "") })
  }
}

/** The events of a task after a cursor: first from the log, then live, until the terminal event. */
export const read = (
  hubs: Hubs,
  cache: LogCache,
  taskId: TaskId,
  after: number
): Stream.Stream<StoredEvent, StreamLost> =>
  Stream.unwrap(Effect.gen(function*() {
    const hub = yield* hubs.attach(taskId)
    const live = yield* hub.subscribe
    return Stream.fromPull(Effect.succeed(new Reader(hub, cache, live, after).pull))
  }))
