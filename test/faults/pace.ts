/**
 * Whether the machine is fast enough for the bounds of a run: the harness writes one small row or key of its own again and again.
 */
import { Clock, Effect, Option } from "effect"

/** A write of the harness's own that takes longer shows that the store or the machine was slow. */
const slowMillis = 500
const pause = "250 millis"
/** A write that takes longer has no answer: its connection is gone. */
const patience = "10 seconds"

/** Until the end of the scope, when a write took long. Writes that fail say nothing. */
export const watch = Effect.fnUntraced(function*<E>(write: Effect.Effect<unknown, E>) {
  const slow: Array<{ readonly from: number; readonly to: number }> = []
  yield* Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    const answer = yield* Effect.option(Effect.timeout(write, patience))
    const to = yield* Clock.currentTimeMillis
    if (Option.isSome(answer) && to - from > slowMillis) slow.push({ from, to })
    yield* Effect.sleep(pause)
  }).pipe(Effect.forever, Effect.forkScoped)
  return slow
})
