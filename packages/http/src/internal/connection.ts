/**
 * One open event stream: it waits for its source, for a heartbeat or for the drain, whichever comes first.
 *
 * A heartbeat does not interrupt the pull of the source. The pull goes on in a fiber that the connection's scope owns.
 */
import type { UserId } from "@perennial/domain/Ids"
import type { StreamLost, TaskBackendError } from "@perennial/domain/TaskError"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { Array as Arr, Cause, Effect, Exit, type Fiber, Pull, Scope } from "effect"
import type { Wire } from "../Wire.ts"
import type { StreamMeter } from "./streamMeter.ts"

type Events<Event extends StoredEvent = StoredEvent> = Arr.NonEmptyReadonlyArray<Event>
type Bytes = Arr.NonEmptyReadonlyArray<Uint8Array>

/** The state that all connections of a server share. */
export interface Connections {
  /** How long a reader shall wait before it connects again. */
  readonly retryMillis: number
  /** Ends a short time after its first caller. Connections that have just written wait for it together. */
  readonly coalesce: Effect.Effect<void> | undefined
  /** Wakes the connections that wait. At most one entry for each open connection. */
  readonly waiting: Set<() => void>
  /** The largest number of open connections, of all users and of one user. */
  readonly limit: number
  readonly userLimit: number
  open: number
  /** The users with open connections. */
  readonly openOf: Map<UserId, number>
  /** Whether the log has a warning about the limit, since half of the connections were free. */
  warned: boolean
  draining: boolean
  /** The time, in milliseconds since 1970-01-01T00:00Z. */
  readonly now: () => number
  readonly meter: StreamMeter | undefined
}

/** A batch of this many events is worth a write of its own. */
const worthWriting = 16

const isSmall = (batch: Events): boolean => batch.length < worthWriting && !batch.some(({ event }) => isTerminal(event))

export interface ConnectionOptions<Event extends StoredEvent> {
  readonly wire: Wire<Event>
  /** Undefined: the connection counts for no user. */
  readonly userId: UserId | undefined
  /** When the connection ends, in milliseconds since 1970-01-01T00:00Z. It writes no event after this time. */
  readonly expiresAt: number
}

/** Whether the largest number of connections is open. */
export const isFull = ({ limit, open }: Connections): boolean => open >= limit

/** Whether the user has the largest number of open connections. */
export const hasTooMany = ({ openOf, userLimit }: Connections, userId: UserId | undefined): boolean =>
  userId !== undefined && (openOf.get(userId) ?? 0) >= userLimit

const count = ({ openOf }: Connections, userId: UserId | undefined, more: 1 | -1): void => {
  if (userId === undefined) return
  const open = (openOf.get(userId) ?? 0) + more
  if (open === 0) openOf.delete(userId)
  else openOf.set(userId, open)
}

/** The bytes of a connection whose events come from `source`; the connection is open until `scope` closes. */
export const connect = <Event extends StoredEvent>(
  connections: Connections,
  { expiresAt, userId, wire }: ConnectionOptions<Event>,
  source: Pull.Pull<Events<Event>, StreamLost | TaskBackendError>,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<Bytes>> => {
  let phase: "opening" | "open" | "over" = "opening"
  let wroteLittle = false
  let refused = false
  /** The pull that is under way, or that ended while a heartbeat was being written. */
  let pull: Fiber.Fiber<Events<Event>, StreamLost | TaskBackendError | Cause.Done> | undefined

  const heartbeat = Effect.succeed<Bytes>([wire.heartbeat])
  const goodbye = Effect.sync((): Bytes => {
    phase = "over"
    return [wire.goodbye(connections.retryMillis)]
  })

  const openedAt = connections.now()
  /** Events from before the connection say nothing about its speed. */
  const measure = (meter: StreamMeter, events: Events) => {
    const { at } = Arr.lastNonEmpty(events)
    if (at >= openedAt) meter.delivered(connections.now() - at)
  }

  const mustEnd = () => connections.draining || connections.now() >= expiresAt

  const deliver = (exit: Exit.Exit<Events<Event>, StreamLost | TaskBackendError | Cause.Done>): Pull.Pull<Bytes> => {
    pull = undefined
    if (Exit.isSuccess(exit)) {
      if (connections.now() >= expiresAt) return goodbye
      wroteLittle = isSmall(exit.value)
      if (connections.meter !== undefined) measure(connections.meter, exit.value)
      return Effect.succeed([wire.encode(exit.value)])
    }
    if (Pull.isDoneCause(exit.cause)) return Cause.done()
    if (Cause.hasInterruptsOnly(exit.cause)) return Effect.interrupt
    return Effect.andThen(Effect.logWarning("An event stream was lost; its reader resumes.", exit.cause), goodbye)
  }

  // One synchronous step checks and registers everything that the connection waits for, so that no wake is missed.
  const wait = Effect.callback<Bytes, Cause.Done>((resume) => {
    if (connections.draining || pull === undefined) return resume(next)
    const exit = pull.pollUnsafe()
    if (exit !== undefined) return resume(deliver(exit))
    const settle = (result: Pull.Pull<Bytes>) => {
      stop()
      resume(result)
    }
    const wake = () => settle(mustEnd() ? goodbye : heartbeat)
    connections.waiting.add(wake)
    const stopObserving = pull.addObserver((exit) => settle(Effect.suspend(() => deliver(exit))))
    const stop = () => {
      connections.waiting.delete(wake)
      stopObserving()
    }
    return Effect.sync(stop)
  })

  const startPull = Effect.map(Effect.forkIn(source, scope, { startImmediately: true }), (fiber) => {
    pull = fiber
  })

  const next: Pull.Pull<Bytes> = Effect.suspend(() => {
    if (phase === "over") return Cause.done()
    if (phase === "opening") {
      // At once, so that the headers go out before the first event.
      phase = "open"
      return Effect.succeed<Bytes>([wire.opening(connections.retryMillis)])
    }
    if (mustEnd() || refused) return goodbye
    if (pull !== undefined) return wait
    const pulled = Effect.andThen(startPull, wait)
    if (!wroteLittle || connections.coalesce === undefined) return pulled
    wroteLittle = false
    return Effect.andThen(connections.coalesce, next)
  })

  const close = Effect.sync(() => {
    connections.open--
    count(connections, userId, -1)
    connections.meter?.open(connections.open)
    if (connections.open <= connections.limit / 2) connections.warned = false
  })
  return Effect.suspend(() => {
    // Requests that were admitted at the same time may be more than the free places.
    refused = isFull(connections) || hasTooMany(connections, userId)
    if (refused) return Effect.succeed(next)
    connections.open++
    count(connections, userId, 1)
    connections.meter?.open(connections.open)
    return Effect.as(Scope.addFinalizer(scope, close), next)
  })
}
