/**
 * Follows the events of a task over as many connections as it takes. Runs in a browser.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { Array, Clock, Duration, Effect, Schedule, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpClientError, HttpClientResponse } from "effect/http"
import type { HttpApiClient } from "effect/http-api"
import { type Api, EventFrame } from "./Api.ts"
import { toStored } from "./internal/timedEvent.ts"
import * as Problems from "./Problems.ts"

/**
 * A watched stream was cut, and could not be taken up again in as many tries as its schedule allows.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", { after: Schema.Natural }) {
  override get message() {
    return `The connection was lost after event ${this.after}. Watch again from there.`
  }
}

/** Problems that the endpoint answers with. */
const Refusal = Schema.Union([
  Problems.TaskNotFound,
  Problems.ConversationNotFound,
  Problems.CursorAhead,
  Problems.EventsExpired,
  Problems.Unauthorized,
  Problems.Forbidden,
  Problems.TooManyStreams,
  Problems.TooManyUserStreams,
  Problems.RateLimited,
  Problems.Unavailable,
  Problems.InvalidRequest,
  Problems.PayloadTooLarge,
  Problems.UnsupportedMediaType,
  Problems.InternalError
])

/**
 * Why watching may fail.
 *
 * @since 0.1.0
 * @category errors
 */
export type WatchError =
  | ConnectionLost
  | HttpClientError.HttpClientError
  | Schema.SchemaError
  | Sse.SseError
  | typeof Refusal.Type

/**
 * How to watch.
 *
 * @since 0.1.0
 * @category models
 */
export interface WatchOptions {
  /** The seq of the last event that is already known; 0 by default: from the beginning. */
  readonly after?: number | undefined
  /**
   * When to connect again after a failure that may pass; begins anew whenever an event has arrived. By default after
   * 0.2 s, 0.4 s, ... at most 10 s (each with jitter), 30 times in a row. A pause that the server asks for by `Retry-After`
   * (at most a minute of it) comes before.
   */
  readonly schedule?: Schedule.Schedule<unknown, WatchError> | undefined
  /**
   * A connection that sends nothing for this long, not even a heartbeat, is given up as lost: 30 seconds by default, which
   * is two heartbeats of a server.
   */
  readonly maxSilence?: Duration.Input | undefined
}

/**
 * The events of a task after a cursor, each once and in order (P3), up to its terminal event.
 *
 * @since 0.1.0
 * @category models
 */
export type Watch = (id: TaskId, options?: WatchOptions) => Stream.Stream<StoredEvent, WatchError>

const defaultSchedule = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("10 seconds")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 30 })
)

/** What a request may fail with, as far as it decides whether trying again may help. */
type Failure = { readonly _tag: string; readonly status?: unknown } | HttpClientError.HttpClientError

const statusOf = (error: Failure): unknown => {
  if (HttpClientError.isHttpClientError(error)) return error.response?.status
  return "status" in error ? error.status : undefined
}

/**
 * Whether trying again may help: after a lost connection, a response that was cut, 408, 425, 429 and 5xx.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mayPass = (error: Failure): boolean => {
  if (error._tag === "ConnectionLost") return true
  if (HttpClientError.isHttpClientError(error)) {
    const { _tag } = error.reason
    if (_tag === "TransportError" || _tag === "DecodeError") return true
  }
  const status = statusOf(error)
  return typeof status === "number" && (status >= 500 || status === 408 || status === 425 || status === 429)
}

/** The pause that the server asks for by `Retry-After`, at most a minute. */
const pauseOf = ({ headers }: HttpClientResponse.HttpClientResponse): Duration.Duration => {
  const seconds = headers["retry-after"] ?? ""
  return Duration.seconds(/^\d{1,9}$/.test(seconds) ? Math.min(Number(seconds), 60) : 0)
}

/**
 * Fails with the problem in the body of a response; without one the status is all that is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refused = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<never, WatchError> =>
  HttpClientResponse.schemaBodyJson(Refusal)(response).pipe(
    Effect.matchEffect({
      onSuccess: Effect.fail,
      onFailure: () =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.StatusCodeError({ request: response.request, response })
          })
        )
    })
  )

/** Frames of an event stream. Heartbeats are no frames, but they show that the connection is alive. */
const framesOf = (
  response: HttpClientResponse.HttpClientResponse,
  maxSilence: Duration.Input,
  lost: Effect.Effect<never, ConnectionLost>
) =>
  // `Stream.timeoutOrElse` reads ahead of its reader; this times each read.
  Stream.transformPull(
    response.stream,
    (pull) => Effect.succeed(Effect.timeoutOrElse(pull, { duration: maxSilence, orElse: () => lost }))
  ).pipe(
    Stream.decodeText,
    Stream.pipeThroughChannel(Sse.decodeSchema(EventFrame))
  )

/**
 * Watches over the endpoint `GET /tasks/{id}/events` of a client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (open: HttpApiClient.ForApi<typeof Api>["tasks"]["events"]): Watch => (id, options = {}) =>
  Stream.suspend(() => {
    const maxSilence = options.maxSilence ?? "30 seconds"
    let cursor = options.after ?? 0
    let ended = false

    const lost = Effect.suspend(() => Effect.fail(new ConnectionLost({ after: cursor })))
    const connect = Effect.suspend(() =>
      open({
        params: { id },
        query: {},
        headers: cursor === 0 ? {} : { "last-event-id": cursor },
        responseMode: "response-only"
      })
    ).pipe(Effect.timeoutOrElse({ duration: maxSilence, orElse: () => lost }))

    const connection = Stream.unwrap(Effect.map(connect, (response): Stream.Stream<StoredEvent, WatchError> => {
      if (response.status === 204) {
        ended = true
        return Stream.empty
      }
      if (response.status !== 200) {
        return Stream.fromEffect(Effect.tapError(refused(response), () => Effect.sleep(pauseOf(response))))
      }
      return framesOf(response, maxSilence, lost).pipe(
        Stream.mapArrayEffect((frames) =>
          Effect.map(
            Clock.currentTimeMillis,
            (now) => Array.map(frames, ({ data, id }) => toStored(id, data, now))
          )
        ),
        Stream.filter(({ seq }) => seq > cursor),
        Stream.tap(({ event, seq }) =>
          Effect.sync(() => {
            cursor = seq
            ended = isTerminal(event)
          })
        ),
        Stream.catch((error): Stream.Stream<never, WatchError> => {
          if (Sse.Retry.is(error)) return Stream.fromEffect(Effect.delay(lost, error.duration))
          // The response was fine when it began: what cut it may pass.
          return HttpClientError.isHttpClientError(error) ? Stream.fromEffect(lost) : Stream.fail(error)
        })
      )
    }))
    const unlessEnded = Stream.suspend(() => ended ? Stream.empty : Stream.fromEffect(lost))

    return connection.pipe(
      Stream.concat(unlessEnded),
      Stream.takeUntil(({ event }) => isTerminal(event)),
      Stream.retry(
        Schedule.while(
          options.schedule ?? defaultSchedule,
          ({ input }: { readonly input: WatchError }) => mayPass(input)
        )
      )
    )
  })
