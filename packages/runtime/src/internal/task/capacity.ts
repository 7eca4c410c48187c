/**
 * The capacity of a process (P11). A task holds one place while it works, and none while all of its open tool calls wait.
 */
import { Effect, Semaphore } from "effect"
import type { TaskPlace } from "../../TaskPlace.ts"

export class Capacity {
  readonly #size: number
  readonly #permits: Semaphore.Semaphore
  #taken = 0
  #unclaimed = 0
  /** The number of tasks that wait for a place to continue. They get a place before new tasks. */
  #returning = 0
  readonly #onFreed: () => void

  /** `onFreed` is called whenever a place is given back. */
  constructor(size: number, onFreed: () => void) {
    this.#size = size
    this.#onFreed = onFreed
    this.#permits = Semaphore.makeUnsafe(size)
  }

  /** How many more tasks may begin. */
  get free(): number {
    return Math.max(0, this.#size - this.#taken - this.#returning)
  }

  /** How many places are taken. */
  get taken(): number {
    return this.#taken
  }

  /** How many of them are for tasks that the store has not yet given to this process. */
  get unclaimed(): number {
    return this.#unclaimed
  }

  /** Takes a place for a new task. Undefined if all places are taken. */
  readonly tryAcquire: Effect.Effect<Place | undefined> = Effect.suspend(() => {
    if (this.free === 0) return Effect.undefined
    this.#taken++
    this.#unclaimed++
    return Effect.as(this.#permits.takeIfAvailable(1), new Place(this))
  })

  /** Waits for a place for a task that continues. */
  readonly reacquire: Effect.Effect<void> = Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      this.#returning++
      return restore(this.#permits.take(1)).pipe(
        Effect.ensuring(Effect.sync(() => {
          this.#returning--
        })),
        Effect.andThen(Effect.sync(() => {
          this.#taken++
        }))
      )
    })
  )

  /** The task of a place is claimed, or ended before. */
  claimed(): void {
    this.#unclaimed--
  }

  /** Gives a place back. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    this.#taken--
    this.#onFreed()
    return Effect.asVoid(this.#permits.release(1))
  })
}

/** The place of one task. */
export class Place implements TaskPlace {
  readonly #capacity: Capacity
  #held = true
  /** Whether the task has ended here. */
  #ended = false
  /** The number of waiting tool calls. */
  #waits = 0
  #log: { readonly openCalls: number } | undefined
  #returning: Semaphore.Semaphore | undefined
  #isMoving = false

  constructor(capacity: Capacity) {
    this.#capacity = capacity
  }

  get isMoving(): boolean {
    return this.#isMoving
  }

  /** From now on a hand-over of the task is a move. */
  move(): void {
    this.#isMoving = true
  }

  openCalls(log: { readonly openCalls: number }): void {
    if (this.#log === undefined) this.#capacity.claimed()
    this.#log = log
  }

  get callEnded(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#waits > 0 && this.#waits >= (this.#log?.openCalls ?? 0) ? this.#release : Effect.void
    )
  }

  whileWaiting<A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        this.#waits++
        return this.callEnded
      }).pipe(
        Effect.andThen(restore(wait)),
        Effect.onExit(() =>
          Effect.sync(() => {
            this.#waits--
          })
        ),
        Effect.tap(() => restore(this.#return))
      )
    )
  }

  /** Gives the place back for ever, because the task has ended here. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#ended = true
      if (this.#log === undefined) this.#capacity.claimed()
      return this.#release
    })
  }

  get #release(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.#held) return Effect.void
      this.#held = false
      return this.#capacity.release
    })
  }

  /** One wait at a time takes the place again, so that a task never takes two. */
  get #return(): Effect.Effect<void> {
    const returning = this.#returning ??= Semaphore.makeUnsafe(1)
    return returning.withPermit(Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (this.#held || this.#ended) return Effect.void
        return Effect.andThen(
          restore(this.#capacity.reacquire),
          Effect.suspend(() => {
            this.#held = true
            return this.#ended ? this.#release : Effect.void
          })
        )
      })
    ))
  }
}
