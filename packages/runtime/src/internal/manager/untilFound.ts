/** Waits for something that another task or process is about to store. */
import type { UserId } from "@perennial/domain/Ids"
import { Duration, Effect, Option, Random } from "effect"
import type { TaskReaders } from "../../TaskReaders.ts"

/** How often a reader looks without a hint. */
const interval = Duration.seconds(15)
/** The shortest time between two looks. */
const spacing = Duration.millis(100)

/** Looks again whenever tasks of the user may have changed, and from time to time, until there is something. */
export const untilFound = Effect.fnUntraced(function*<A, E>(
  readers: TaskReaders["Service"],
  userId: UserId,
  look: Effect.Effect<Option.Option<A>, E>
) {
  const changed = yield* readers.changes(userId)
  while (true) {
    // Before the look: a change during it is looked at once more.
    changed.closeUnsafe()
    const found = yield* look
    if (Option.isSome(found)) return found.value
    yield* Effect.sleep(spacing)
    const jitter = yield* Random.nextBetween(0.8, 1.2)
    yield* Effect.timeoutOption(changed.await, Duration.times(interval, jitter))
  }
}, Effect.scoped)
