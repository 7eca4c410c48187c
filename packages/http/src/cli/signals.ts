/**
 * What asks the program to leave: Ctrl-C, SIGTERM, or a reader of its output that is gone.
 *
 * A signal interrupts the program, unless a command listens: then the command decides.
 */
import { Context, Effect, Queue, type Scope } from "effect"

export type Signal = "SIGINT" | "SIGTERM" | "SIGPIPE"

export class Signals extends Context.Service<Signals, {
  /** The signals from now on, until the scope closes. At most the newest 8 wait. */
  readonly listen: Effect.Effect<Queue.Dequeue<Signal>, never, Scope.Scope>
}>()("@perennial/http/cli/signals") {}

/** `deliver` gives a signal to the command that listens. It returns false if no command listens. */
export const makeUnsafe = (): {
  readonly signals: Signals["Service"]
  readonly deliver: (signal: Signal) => boolean
} => {
  const listeners = new Set<Queue.Queue<Signal>>()
  return {
    signals: {
      listen: Effect.acquireRelease(
        Effect.tap(Queue.sliding<Signal>(8), (queue) => Effect.sync(() => listeners.add(queue))),
        (queue) => Effect.sync(() => listeners.delete(queue))
      )
    },
    deliver: (signal) => {
      for (const queue of listeners) Queue.offerUnsafe(queue, signal)
      return listeners.size > 0
    }
  }
}
