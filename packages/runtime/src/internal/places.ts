/**
 * The places of a process (its capacity, P11): a task has one while it works, and none while all of its tool calls wait
 * for a person.
 */
import { Effect, Latch, Semaphore } from "effect"
import type { Execution } from "./execution.ts"

export class Places {
  readonly #capacity: number
  readonly #permits: Semaphore.Semaphore
  #free: number
  /** Tasks that wait for a place to go on; they come before new ones. */
  #returning = 0
  /** Opens when a place became free. */
  readonly made = Latch.makeUnsafe(false)

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#permits = Semaphore.makeUnsafe(capacity)
    this.#free = capacity
  }

  /** How many more tasks there is room for. */
  get room(): number {
    return Math.max(0, this.#free - this.#returning)
  }

  /** How many places are taken. */
  get taken(): number {
    return this.#capacity - this.#free
  }

  /** Takes a place for a new task, if there is one. */
  readonly admit: Effect.Effect<boolean> = Effect.suspend(() => {
    if (this.room === 0) return Effect.succeed(false)
    this.#free--
    return this.#permits.takeIfAvailable(1)
  })

  /** Gives a place back. */
  readonly dismiss: Effect.Effect<void> = Effect.suspend(() => {
    this.#free++
    this.made.openUnsafe()
    return Effect.asVoid(this.#permits.release(1))
  })

  /** Gives back the place of a task, if it has one. */
  leave(execution: Execution): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!execution.admitted) return Effect.void
      execution.admitted = false
      return this.dismiss
    })
  }

  /** Gives back the place of a task of which nothing works: every tool call that is open waits. */
  rest(execution: Execution): Effect.Effect<void> {
    return Effect.suspend(() =>
      execution.outside > 0 && execution.outside >= execution.openCalls ? this.leave(execution) : Effect.void
    )
  }

  /** Waits, without a place if nothing else of the task works. Who has waited goes on with a place. */
  outside<A>(execution: Execution, wait: Effect.Effect<A>): Effect.Effect<A> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        execution.outside++
        return this.rest(execution)
      }).pipe(
        Effect.andThen(restore(wait)),
        Effect.onExit(() =>
          Effect.sync(() => {
            execution.outside--
          })
        ),
        Effect.tap(() => restore(this.#enter(execution)))
      )
    )
  }

  /** One at a time for each task: a task never takes two places. */
  #enter(execution: Execution): Effect.Effect<void> {
    return execution.entering.withPermit(Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (execution.admitted || execution.over) return Effect.void
        this.#returning++
        return restore(this.#permits.take(1)).pipe(
          Effect.ensuring(Effect.sync(() => {
            this.#returning--
          })),
          Effect.andThen(Effect.suspend(() => {
            this.#free--
            execution.admitted = true
            return execution.over ? this.leave(execution) : Effect.void
          }))
        )
      })
    ))
  }
}
