/** Follows a stream that does not end by itself, over as many connections as it takes. */
import { Clock, Effect, Schedule, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import type { HttpClientResponse } from "effect/http"
import { ConnectionLost, mayPass, refused, type WatchError } from "../Watch.ts"

/** A connection that sends nothing for this long, not even a heartbeat, is given up as lost. */
const maxSilence = "30 seconds"

const schedule = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("10 seconds")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ times: 30 })
)

export interface Options<Frame, Item, Cursor> {
  /** Opens a connection after a cursor. */
  readonly open: (cursor: Cursor | undefined) => Effect.Effect<HttpClientResponse.HttpClientResponse, WatchError>
  readonly frame: Schema.Codec<Frame, { readonly id?: string; readonly event?: string; readonly data: string }>
  /** The item of a frame that arrived at a time. */
  readonly toItem: (frame: Frame, now: number) => Item
  readonly cursorOf: (item: Item) => Cursor
  /** The seq that a lost connection names. */
  readonly seqOf: (cursor: Cursor) => number
}

export const make = <Frame, Item, Cursor>(
  { cursorOf, frame, open, seqOf, toItem }: Options<Frame, Item, Cursor>
) =>
(after: Cursor | undefined): Stream.Stream<Item, WatchError> =>
  Stream.suspend(() => {
    let cursor = after
    const lost = Effect.suspend(() =>
      Effect.fail(new ConnectionLost({ after: cursor === undefined ? 0 : seqOf(cursor) }))
    )
    const connect = Effect.suspend(() => open(cursor)).pipe(
      Effect.timeoutOrElse({ duration: maxSilence, orElse: () => lost })
    )
    const connection = Stream.unwrap(Effect.map(connect, (response): Stream.Stream<Item, WatchError> => {
      if (response.status !== 200) return Stream.fromEffect(refused(response))
      return Stream.transformPull(
        response.stream,
        (pull) => Effect.succeed(Effect.timeoutOrElse(pull, { duration: maxSilence, orElse: () => lost }))
      ).pipe(
        Stream.decodeText,
        Stream.pipeThroughChannel(Sse.decodeSchema(frame)),
        Stream.mapEffect((frame) => Effect.map(Clock.currentTimeMillis, (now) => toItem(frame, now))),
        Stream.tap((item) =>
          Effect.sync(() => {
            cursor = cursorOf(item)
          })
        ),
        // The response was fine when it began: what cut it may pass. A frame that cannot be read stays so.
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
