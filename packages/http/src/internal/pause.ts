/**
 * A pause that all who begin it within its length end together: one timer, however many connections.
 */
import { type Duration, Effect, Latch, type Scope } from "effect"

export const makePause = (length: Duration.Input): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.suspend(() => {
    // At most one entry per open connection.
    let resting: Array<(go: Effect.Effect<void>) => void> = []
    let closed = false
    const begun = Latch.makeUnsafe(false)

    const release = Effect.sync(() => {
      const rested = resting
      resting = []
      begun.closeUnsafe()
      for (const resume of rested) resume(Effect.void)
    })
    const pause = Effect.callback<void>((resume) => {
      if (closed) return resume(Effect.void)
      resting.push(resume)
      begun.openUnsafe()
    })

    return begun.await.pipe(
      Effect.andThen(Effect.sleep(length)),
      Effect.andThen(release),
      Effect.forever,
      // Connections may outlive the timer at shutdown: none may rest for ever.
      Effect.ensuring(Effect.suspend(() => {
        closed = true
        return release
      })),
      Effect.forkScoped,
      Effect.as(pause)
    )
  })
