/**
 * The writes of tasks, events and messages that the store has not answered yet. A store that only refuses to grow, such as one with a full
 * disk, may still renew leases. Its writes are tried again for a while, and meanwhile have no answer.
 */
import { NotReady } from "@perennial/domain/Readiness"
import { type Clock, Context, Duration, Effect } from "effect"

/** Fails while a write of this process has had no answer for two heartbeats. The runtime provides it with its stores. */
export const WritesAnswered = Context.Reference<Effect.Effect<void, NotReady>>(
  "@perennial/runtime/internal/WritesAnswered",
  { defaultValue: () => Effect.void }
)

export class PendingWrites {
  readonly #clock: Clock.Clock
  readonly #overdue: number
  /** When each write began, in milliseconds; the oldest first. */
  readonly #pending = new Set<{ readonly since: number }>()

  constructor(clock: Clock.Clock, heartbeat: Duration.Duration) {
    this.#clock = clock
    this.#overdue = 2 * Duration.toMillis(heartbeat)
  }

  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }

  /** Runs a write. */
  track<A, E, R>(write: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const one = { since: this.#now() }
      this.#pending.add(one)
      return Effect.ensuring(write, Effect.sync(() => this.#pending.delete(one)))
    })
  }

  readonly answered: Effect.Effect<void, NotReady> = Effect.suspend(() => {
    const [oldest] = this.#pending
    const age = oldest === undefined ? 0 : this.#now() - oldest.since
    if (age <= this.#overdue) return Effect.void
    const since = Duration.format(Duration.seconds(Math.ceil(age / 1_000)))
    return Effect.fail(new NotReady({ problem: `The store is not ready: it has not answered a write for ${since}.` }))
  })
}
