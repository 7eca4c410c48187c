/**
 * Event streams over HTTP: Server-Sent Events with heartbeats, made for many readers of the same events.
 *
 * A stream pulls. It holds the one batch that is being written and nothing else, so a reader that stalls costs no memory
 * and slows no other reader (P6). The number of open streams is bounded. An idle stream sends a heartbeat at an
 * interval. A stream whose source fails, and every stream when the server drains, ends cleanly after a goodbye: the
 * reader resumes from its cursor.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { UserId } from "@perennial/domain/Ids"
import type { StreamLost, TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Clock, Context, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { connect, type Connections, hasTooMany, isFull } from "./internal/connection.ts"
import { MaxStreams } from "./internal/maxStreams.ts"
import { oneAtATime } from "./internal/oneAtATime.ts"
import { StreamMeter } from "./internal/streamMeter.ts"
import { TooManyStreams, TooManyUserStreams } from "./Problems.ts"
import { eventLog, type Wire } from "./Wire.ts"

const headers = {
  "cache-control": "no-cache, no-transform",
  // Reverse proxies of the nginx family buffer responses otherwise.
  "x-accel-buffering": "no"
}

/**
 * How streams behave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How often an idle stream sends a heartbeat; 15 seconds by default. Proxies cut idle responses after 30 to 60. */
  readonly heartbeat?: Duration.Input | undefined
  /** How long a reader shall wait before it connects again after an early end; one second by default. */
  readonly retry?: Duration.Input | undefined
  /**
   * How long a stream that has just written a few events waits for more before it writes again; not at all by default. The
   * first event after a quiet moment is never delayed. With many readers of a fast task a few milliseconds save most of the
   * writes.
   */
  readonly coalesce?: Duration.Input | undefined
  /**
   * How many streams may be open at the same time; further ones are refused. 10,000 by default; on `NodeServer` at most four
   * fifths of the files that the process may open, because each connection is an open file.
   */
  readonly maxStreams?: number | undefined
  /** How many of these one user may have open; as many as there may be by default. */
  readonly maxUserStreams?: number | undefined
}

/**
 * The open event streams of this server.
 *
 * @since 0.1.0
 * @category services
 */
export class EventStreams extends Context.Service<EventStreams, {
  /**
   * Fails if the largest number of streams is open, of all users or of `CurrentUser`. A request asks before it begins its
   * work. The log gets one warning about all users, and the next one only after half of the streams have ended.
   */
  readonly admit: Effect.Effect<void, TooManyStreams | TooManyUserStreams>
  /**
   * The response that streams these events, as `eventLog` unless a wire is given. It ends with its source, or at once after
   * its goodbye if the largest number of streams is open, of all users or of `userId`.
   */
  readonly response: <Event extends StoredEvent>(
    events: Stream.Stream<Event, StreamLost | TaskBackendError>,
    options?: {
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly wire?: Wire<Event> | undefined
      /** Whose stream it is; without it the stream counts for no user. */
      readonly userId?: UserId | undefined
      /**
       * When the stream ends after its goodbye, in milliseconds since 1970-01-01T00:00Z; never by default. It sends no event
       * after this time. An idle stream ends at its next heartbeat.
       */
      readonly expiresAt?: number | undefined
    }
  ) => HttpServerResponse.HttpServerResponse
  /** Ends every open stream after its goodbye, and every later stream at once. */
  readonly drain: Effect.Effect<void>
  /** Whether the server drains. */
  readonly draining: Effect.Effect<boolean>
  /** How many streams are open. */
  readonly open: Effect.Effect<number>
}>()("@perennial/http/Sse/EventStreams") {}

/**
 * Provides `EventStreams`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<EventStreams> =>
  Layer.effect(
    EventStreams,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const limit = options?.maxStreams ?? (yield* MaxStreams)
      // The sleep begins when all connections have written that were woken together. Otherwise the writes to many readers can
      // take as long as the sleep, and no events are collected.
      const collect = (time: Duration.Input) =>
        oneAtATime(Effect.andThen(Effect.yieldNow, Effect.sleep(time))).pipe(
          Effect.map((begin) => Effect.asVoid(Effect.flatMap(begin, Fiber.await)))
        )
      const connections: Connections = {
        retryMillis: Duration.toMillis(options?.retry ?? "1 second"),
        coalesce: options?.coalesce === undefined ? undefined : yield* collect(options.coalesce),
        waiting: new Set(),
        limit,
        userLimit: options?.maxUserStreams ?? Number.POSITIVE_INFINITY,
        open: 0,
        openOf: new Map(),
        warned: false,
        draining: false,
        now: () => clock.currentTimeMillisUnsafe(),
        meter: yield* StreamMeter
      }
      const wakeAll = Effect.sync(() => {
        // A connection that is woken may write and wait again at once.
        const waiting = new Set(connections.waiting)
        for (const wake of waiting) wake()
      })
      yield* wakeAll.pipe(Effect.delay(options?.heartbeat ?? "15 seconds"), Effect.forever, Effect.forkScoped)

      const refuse = Effect.fail(
        new TooManyStreams({ limit, detail: `${limit} event streams are open, which is the limit of this server.` })
      )
      const refuseUser = Effect.suspend(() =>
        Effect.fail(
          new TooManyUserStreams({
            limit: connections.userLimit,
            detail: `You have ${connections.userLimit} event streams open, which is the limit. Close one of them.`
          })
        )
      )
      const warn = Effect.logWarning(
        `${limit} event streams are open, which is the limit (PERENNIAL_MAX_STREAMS, maxStreams): more are answered 503.`
      )

      return EventStreams.of({
        admit: Effect.flatMap(CurrentUser, (userId): Effect.Effect<void, TooManyStreams | TooManyUserStreams> => {
          if (hasTooMany(connections, userId)) return refuseUser
          if (!isFull(connections)) return Effect.void
          if (connections.warned) return refuse
          connections.warned = true
          return Effect.andThen(warn, refuse)
        }),
        response: (events, { expiresAt = Number.POSITIVE_INFINITY, headers: more, userId, wire = eventLog } = {}) =>
          HttpServerResponse.stream(
            Stream.transformPullBracket(events, (pull, _, scope) =>
              connect(connections, { wire, userId, expiresAt }, pull, scope)),
            { contentType: "text/event-stream", headers: { ...headers, ...wire.headers, ...more } }
          ),
        drain: Effect.suspend(() => {
          connections.draining = true
          return wakeAll
        }),
        draining: Effect.sync(() =>
          connections.draining
        ),
        open: Effect.sync(() => connections.open)
      })
    })
  )

/**
 * Drains when its scope closes. Build it after the server, so that it drains before the server waits for its
 * connections.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDrain: Layer.Layer<never, never, EventStreams> = Layer.effectDiscard(
  Effect.flatMap(EventStreams, (streams) => Effect.addFinalizer(() => streams.drain))
)
