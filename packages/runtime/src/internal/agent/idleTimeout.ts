/** A time limit on silence: every sign of life starts it again, and it does not count while it is paused. */
import { type Clock, Duration, Effect } from "effect"

export class IdleTimeout {
  readonly #clock: Clock.Clock
  readonly #millis: number
  /** When the present silence began, in milliseconds; undefined while the limit is paused. */
  #since: number | undefined

  constructor(clock: Clock.Clock, timeout: Duration.Duration) {
    this.#clock = clock
    this.#millis = Duration.toMillis(timeout)
    this.restart()
  }

  restart(): void {
    this.#since = this.#clock.currentTimeMillisUnsafe()
  }

  pause(): void {
    this.#since = undefined
  }

  /** A sign of life: restarts the limit unless it is paused. */
  touch(): void {
    if (this.#since !== undefined) this.restart()
  }

  /** Succeeds when the silence has lasted too long. */
  readonly expired: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.#clock.currentTimeMillisUnsafe()
    const left = (this.#since ?? now) + this.#millis - now
    return left > 0 ? Effect.flatMap(Effect.sleep(left), () => this.expired) : Effect.void
  })
}
