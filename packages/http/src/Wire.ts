/**
 * Formats of event streams: what the bytes of a stream look like. `EventStreams` knows when to send which bytes.
 *
 * @since 0.1.0
 */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Array } from "effect"
import { comment, encode, retry } from "./internal/eventFrames.ts"

/**
 * What a stream of events looks like on the wire. A stream may keep state in the `encode` of a wire of its own. `Event` is what its
 * source has: a wire may need more than the event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wire<in Event extends StoredEvent = StoredEvent> {
  /** Headers of the response, besides those that keep proxies from buffering. */
  readonly headers: Readonly<Record<string, string>>
  /** The first bytes, sent at once. `retryMillis` is how long a reader shall wait before it connects again. */
  readonly opening: (retryMillis: number) => Uint8Array
  /** The bytes that an idle stream sends at an interval. */
  readonly heartbeat: Uint8Array
  /** The last bytes of a stream that ends before its source. */
  readonly goodbye: (retryMillis: number) => Uint8Array
  readonly encode: (events: Array.NonEmptyReadonlyArray<Event>) => Uint8Array
}

const ok = comment("ok")

/**
 * The protocol of Perennial: `id: <seq>` and `data: <event JSON>` for each event, comments as heartbeats, and `retry:` as
 * goodbye. The JSON of an event also has `at`, the time of the write. Readers of the same events share the encoded bytes.
 *
 * @since 0.1.0
 * @category wires
 */
export const eventLog: Wire = {
  headers: {},
  opening: () => ok,
  heartbeat: comment("ping"),
  goodbye: retry,
  encode
}

/**
 * `eventLog` for the browser's `EventSource`: it opens with `retry:`, because an `EventSource` whose connection is cut
 * otherwise waits about three seconds.
 *
 * **Gotchas** Effect's own decoder of Server-Sent Events ends at a `retry:` line.
 *
 * @since 0.1.0
 * @category wires
 */
export const eventSource: Wire = { ...eventLog, opening: retry }
