/** Follows the feed over as many connections as it takes. */
import type { FeedUpdate } from "@perennial/domain/Feed"
import { Effect, Schedule, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import type { HttpApiClient } from "effect/http-api"
import type { Api } from "../Api.ts"
import { FeedFrame } from "../FeedApi.ts"
import { ConnectionLost, mayPass, refused, type WatchError } from "../Watch.ts"

/** A connection that sends nothing for this long, not even a heartbeat, is given up as lost. */
const maxSilence = "30 seconds"

const schedule = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("10 seconds")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 30 })
)

export type WatchFeed = (
  options?: { readonly after?: number | undefined }
) => Stream.Stream<FeedUpdate, WatchError>

export const make = (open: HttpApiClient.ForApi<typeof Api>["feed"]["feed"]): WatchFeed => (options) =>
  Stream.suspend(() => {
    let cursor = options?.after
    const lost = Effect.suspend(() => Effect.fail(new ConnectionLost({ after: cursor ?? 0 })))
    const connect = Effect.suspend(() =>
      open({
        query: {},
        headers: cursor === undefined ? {} : { "last-event-id": cursor },
        responseMode: "response-only"
      })
    ).pipe(Effect.timeoutOrElse({ duration: maxSilence, orElse: () => lost }))
    const connection = Stream.unwrap(Effect.map(connect, (response): Stream.Stream<FeedUpdate, WatchError> => {
      if (response.status !== 200) return Stream.fromEffect(refused(response))
      return Stream.transformPull(
        response.stream,
        (pull) => Effect.succeed(Effect.timeoutOrElse(pull, { duration: maxSilence, orElse: () => lost }))
      ).pipe(
        Stream.decodeText,
        Stream.pipeThroughChannel(Sse.decodeSchema(FeedFrame)),
        Stream.map(({ data, id }): FeedUpdate => ({ ...data, cursor: id })),
        Stream.tap((update) =>
          Effect.sync(() => {
            cursor = update.cursor
          })
        ),
        // The response was fine when it began: what cut it may pass. A change that cannot be read stays so.
        Stream.catch((error): Stream.Stream<never, WatchError> => {
          if (Sse.Retry.is(error)) return Stream.fromEffect(Effect.delay(lost, error.duration))
          return Schema.isSchemaError(error) ? Stream.fail(error) : Stream.fromEffect(lost)
        })
      )
    }))
    return connection.pipe(
      Stream.concat(Stream.fromEffect(lost)),
      Stream.retry(Schedule.while(schedule, ({ input }: { readonly input: WatchError }) => mayPass(input)))
    )
  })
