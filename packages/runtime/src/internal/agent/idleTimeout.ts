/** Notices models that have fallen silent: one fiber watches all answers that are open, however many they are. */
import { Clock, Context, Effect, type Fiber } from "effect"

export interface Idle {
  /** The last sign of life, in milliseconds; undefined while the model is not waited for. */
  readonly waitingSince: number | undefined
  /** Called once, when it is too long ago. */
  readonly onTimeout: () => void
}

export class IdleTimeout {
  readonly #clock: Clock.Clock
  readonly #millis: number
  readonly #open = new Set<Idle>()
  #fiber: Fiber.Fiber<void> | undefined

  constructor(clock: Clock.Clock, millis: number) {
    this.#clock = clock
    this.#millis = millis
  }

  begin(idle: Idle): void {
    this.#open.add(idle)
    // Owned by what is open: it ends with the last of them.
    this.#fiber ??= Effect.runForkWith(Context.make(Clock.Clock, this.#clock))(this.#watch)
  }

  end(idle: Idle): void {
    this.#open.delete(idle)
    if (this.#open.size > 0) return
    this.#fiber?.interruptUnsafe()
    this.#fiber = undefined
  }

  /** What begins later falls silent later: it is seen in time. */
  readonly #watch: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.#clock.currentTimeMillisUnsafe()
    let pause = this.#millis
    const silent: Array<Idle> = []
    for (const watched of this.#open) {
      const left = (watched.waitingSince ?? now) + this.#millis - now
      if (left > 0) pause = Math.min(pause, left)
      else silent.push(watched)
    }
    for (const watched of silent) {
      this.#open.delete(watched)
      watched.onTimeout()
    }
    return Effect.flatMap(Effect.sleep(pause), () => this.#watch)
  })
}
