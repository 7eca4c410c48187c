/**
 * One open event stream: waits for its source or for a heartbeat, whichever comes first.
 *
 * A heartbeat does not interrupt the pull of the source; that goes on in a fiber owned by the connection's scope.
 */
import type { StreamLost } from "@perennial/domain/TaskError"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array, Cause, Effect, Exit, type Fiber, Pull, Scope } from "effect"
import { comment, frames } from "./frames.ts"

type Events = Array.NonEmptyReadonlyArray<StoredEvent>
type Bytes = Array.NonEmptyReadonlyArray<Uint8Array>
type Pulled = Exit.Exit<Events, StreamLost | Cause.Done>

/** What the connections of one server share. */
export interface Connections {
  /** Open connections, by what wakes them if they wait. */
  readonly open: Set<() => void>
  /** What a stream says before it ends early. */
  readonly goodbye: Uint8Array
  /** Lets events gather before a connection that has just written looks for more. */
  readonly pause: Effect.Effect<void> | undefined
  draining: boolean
}

/** A batch of this many events is worth a write of its own. */
const worthWriting = 16

const opening: Bytes = [comment("ok")]
const heartbeat = Effect.succeed<Bytes>([comment("ping")])

/** The bytes of a connection whose events come from `source`; it is open until `scope` closes. */
export const connect = (
  connections: Connections,
  source: Pull.Pull<Events, StreamLost>,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<Bytes>> => {
  let begun = false
  let ended = false
  let pausing = false
  let pending: Fiber.Fiber<Events, StreamLost | Cause.Done> | undefined
  let arrived: Pulled | undefined
  let waiting: ((bytes: Pull.Pull<Bytes>) => void) | undefined

  const goodbye = Effect.sync((): Bytes => {
    ended = true
    return [connections.goodbye]
  })

  const deliver = (exit: Pulled): Pull.Pull<Bytes> => {
    if (Exit.isSuccess(exit)) {
      const batch = exit.value
      pausing = connections.pause !== undefined && batch.length < worthWriting &&
        !batch.some(({ event }) => isTerminal(event))
      return Effect.succeed([frames(batch)])
    }
    if (Pull.isDoneCause(exit.cause)) return Cause.done()
    if (Cause.hasInterruptsOnly(exit.cause)) return Effect.interrupt
    return Effect.andThen(Effect.logWarning("An event stream was lost; its reader resumes.", exit.cause), goodbye)
  }

  const resume = (bytes: Pull.Pull<Bytes>) => {
    const reader = waiting
    waiting = undefined
    reader?.(bytes)
  }

  const onExit = (exit: Pulled) => {
    pending = undefined
    // A heartbeat may be on its way to the socket, or the reader on its way to `wait`: it finds the exit.
    if (waiting === undefined) arrived = exit
    else resume(Effect.suspend(() => deliver(exit)))
  }

  const stopWaiting = Effect.sync(() => {
    waiting = undefined
  })
  const wait = Effect.callback<Bytes, Cause.Done>((reader) => {
    // The fiber may have given way on its way here: what came meanwhile found nobody who waited.
    if (pending === undefined || connections.draining) return reader(next)
    waiting = reader
    return stopWaiting
  })
  const wake = () => resume(connections.draining ? goodbye : heartbeat)

  const fork = Effect.forkIn(source, scope, { startImmediately: true })
  const next: Pull.Pull<Bytes> = Effect.suspend(() => {
    if (ended) return Cause.done()
    if (!begun) {
      // At once, so that the headers go out before the first event.
      begun = true
      return Effect.succeed(opening)
    }
    if (connections.draining) return goodbye
    if (arrived !== undefined) {
      const exit = arrived
      arrived = undefined
      return deliver(exit)
    }
    if (pending !== undefined) return wait
    if (pausing && connections.pause !== undefined) {
      pausing = false
      return Effect.flatMap(connections.pause, () => next)
    }
    return Effect.flatMap(fork, (fiber) => {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return deliver(exit)
      pending = fiber
      fiber.addObserver(onExit)
      return wait
    })
  })

  return Effect.suspend(() => {
    connections.open.add(wake)
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => connections.open.delete(wake))), next)
  })
}
