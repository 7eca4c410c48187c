/**
 * The bytes of an event stream (WHATWG HTML, section 9.2), encoded once for all readers.
 *
 * Readers of one task share event objects, and what was encoded is found by their identity: a thousand readers of a batch
 * cost one encode and share one buffer, also where each has an array of its own. The text of an event goes when the event
 * goes: beside the bounded caches of events it is as much again. Of the buffers 16 MiB are kept, the newest, as readers may
 * begin a batch at any event (P11).
 */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Array } from "effect"

const utf8 = new TextEncoder()
const texts = new WeakMap<StoredEvent, string>()

interface Encoded {
  /** How many events. */
  readonly length: number
  readonly bytes: Uint8Array
}

/** By the first event of a batch, what began with it last: the newest, and those before, at most 8 MiB each. */
let newest = new WeakMap<StoredEvent, Encoded>()
let before = new WeakMap<StoredEvent, Encoded>()
const maxBytes = 8 * 1024 * 1024
let newestBytes = 0

const keep = (first: StoredEvent, encoded: Encoded): void => {
  newest.set(first, encoded)
  newestBytes += encoded.bytes.byteLength
  if (newestBytes < maxBytes) return
  before = newest
  newest = new WeakMap()
  newestBytes = 0
}

/** A comment: readers ignore it, proxies and sockets see traffic. */
export const comment = (text: string): Uint8Array => utf8.encode(`: ${text}\n\n`)

/** Tells the reader to connect again after a delay. */
export const retry = (delayMillis: number): Uint8Array => utf8.encode(`retry: ${delayMillis}\n\n`)

// Encoding an event changes nothing but `unknown`, and JSON has no raw line breaks: one `data:` line is enough.
const text = (stored: StoredEvent): string => {
  let frame = texts.get(stored)
  if (frame === undefined) {
    const json = JSON.stringify(stored.event.type === "unknown" ? stored.event.raw : stored.event)
    texts.set(stored, frame = `id: ${stored.seq}\ndata: ${json}\n\n`)
  }
  return frame
}

/** The frames of a batch, in one buffer. A task's events have no gaps (P3): first event and length say which they are. */
export const frames = (batch: Array.NonEmptyReadonlyArray<StoredEvent>): Uint8Array => {
  const known = newest.get(batch[0]) ?? before.get(batch[0])
  if (known !== undefined && known.length === batch.length) return known.bytes
  let joined = ""
  for (const stored of batch) joined += text(stored)
  const bytes = utf8.encode(joined)
  keep(batch[0], { length: batch.length, bytes })
  return bytes
}
