/**
 * The typed client. Runs wherever there is an `HttpClient`: browsers, Node.js, and elsewhere.
 *
 * Every endpoint of the API is a method, every problem a typed error. `watch` follows a task over as many connections
 * as it takes.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { Array, Clock, Context, Effect, Layer, type Redacted, Schedule, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { type HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api } from "./Api.ts"
import { Authorization } from "./Authorization.ts"
import type * as Problems from "./Problems.ts"

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
  | Problems.TaskNotFound
  | Problems.CursorAhead
  | Problems.EventsExpired
  | Problems.Unauthorized
  | Problems.Forbidden
  | Problems.Unavailable
  | Problems.InvalidRequest
  | Problems.PayloadTooLarge
  | Problems.UnsupportedMediaType
  | Problems.InternalError

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
   * 0.2 s, 0.4 s, ... at most 10 s (each with jitter), 30 times in a row.
   */
  readonly schedule?: Schedule.Schedule<unknown, WatchError> | undefined
}

/**
 * The client of a Perennial server.
 *
 * @since 0.1.0
 * @category services
 */
export class PerennialClient extends Context.Service<
  PerennialClient,
  HttpApiClient.ForApi<typeof Api> & {
    /**
     * The events of a task after a cursor, each once and in order (P3), up to its terminal event.
     *
     * **Details** A cut connection, a restarted server, 5xx and 429 are survived: the client connects again from the
     * last event it has. Every other problem fails at once. Event types that this version does not know arrive as
     * `{ type: "unknown", raw }`. `at` is the time of arrival: the stream does not carry the time of writing.
     */
    readonly watch: (id: TaskId, options?: WatchOptions) => Stream.Stream<StoredEvent, WatchError>
  }
>()("@perennial/http/Client/PerennialClient") {}

const defaultSchedule = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("10 seconds")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 30 })
)

const statusOf = (error: WatchError): number | undefined => {
  if (HttpClientError.isHttpClientError(error)) return error.response?.status
  return "status" in error ? error.status : undefined
}

/** Whether trying again may help. */
const mayPass = (error: WatchError): boolean => {
  if (error._tag === "ConnectionLost") return true
  if (HttpClientError.isHttpClientError(error) && error.reason._tag === "TransportError") return true
  const status = statusOf(error)
  return status !== undefined && (status >= 500 || status === 429)
}

const makeWatch = (client: HttpApiClient.ForApi<typeof Api>): PerennialClient["Service"]["watch"] => (id, options) =>
  Stream.suspend(() => {
    let cursor = options?.after ?? 0
    let ended = false

    const open = Effect.suspend(() =>
      client.tasks.events({
        params: { id },
        query: {},
        headers: cursor === 0 ? {} : { "last-event-id": cursor }
      })
    )
    const lost = Effect.suspend(() => Effect.fail(new ConnectionLost({ after: cursor })))

    const connection = Stream.unwrap(Effect.map(open, (body): Stream.Stream<StoredEvent, WatchError> => {
      if (!Stream.isStream(body)) {
        ended = true
        return Stream.empty
      }
      return body.pipe(
        Stream.mapArrayEffect((frames) =>
          Effect.map(
            Clock.currentTimeMillis,
            (at) => Array.map(frames, ({ data, id }): StoredEvent => ({ seq: id, at, event: data }))
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
          options?.schedule ?? defaultSchedule,
          ({ input }: { readonly input: WatchError }) => mayPass(input)
        )
      )
    )
  })

/**
 * A client of the server at `baseUrl`, with a token where the server wants one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly baseUrl: string
  readonly token?: Redacted.Redacted | undefined
}): Layer.Layer<PerennialClient, never, HttpClient.HttpClient> =>
  Layer.effect(
    PerennialClient,
    Effect.map(
      HttpApiClient.make(Api, { baseUrl: options.baseUrl }),
      (client) => PerennialClient.of({ ...client, watch: makeWatch(client) })
    )
  ).pipe(
    Layer.provide(HttpApiMiddleware.layerClient(Authorization, ({ next, request }) =>
      next(options.token === undefined ? request : HttpClientRequest.bearerToken(request, options.token))))
  )
