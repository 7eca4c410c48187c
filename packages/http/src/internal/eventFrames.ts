/**
 * The bytes of the events of a log (WHATWG HTML, section 9.2), encoded once for all readers.
 *
 * Readers of one task share event objects. The text of an event is kept as long as its object. The bytes of a batch are
 * found by the first event of the batch and its length: a task's events have no gaps (P3). The newest 8 MiB of bytes are
 * kept: readers may begin a batch at any event (P11).
 */
import { toRaw } from "@perennial/domain/EventPayload"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Array } from "effect"

const utf8 = new TextEncoder()
const texts = new WeakMap<StoredEvent, string>()

interface Encoded {
  /** The number of events. */
  readonly length: number
  readonly bytes: Uint8Array
}

/** By the first event of a batch, oldest first. */
const kept = new Map<StoredEvent, Encoded>()
const maxBytes = 8 * 1024 * 1024
let keptBytes = 0

const forget = (first: StoredEvent): void => {
  keptBytes -= kept.get(first)?.bytes.byteLength ?? 0
  kept.delete(first)
}

const keep = (first: StoredEvent, encoded: Encoded): void => {
  forget(first)
  kept.set(first, encoded)
  keptBytes += encoded.bytes.byteLength
  for (const oldest of kept.keys()) {
    if (keptBytes <= maxBytes) return
    forget(oldest)
  }
}

/** A comment: readers ignore it, proxies and sockets see traffic. */
export const comment = (text: string): Uint8Array => utf8.encode(`: ${text}\n\n`)

/** Tells the reader how long to wait before it connects again. */
export const retry = (delayMillis: number): Uint8Array => utf8.encode(`retry: ${delayMillis}\n\n`)

/** The frame of an event: `id: <seq>` and `data: <event JSON>`. JSON has no raw line breaks: one `data:` line is enough. */
export const textOf = (stored: StoredEvent): string => {
  let frame = texts.get(stored)
  if (frame === undefined) {
    // The event has a type: it is not the empty object.
    const json = JSON.stringify(toRaw(stored.event)).slice(0, -1)
    texts.set(stored, frame = `id: ${stored.seq}\ndata: ${json},"at":${stored.at}}\n\n`)
  }
  return frame
}

/** The frames of a batch, in one buffer: `id: <seq>` and `data: <event JSON>`, with the time `at` in it, for each event. */
export const encode = (batch: Array.NonEmptyReadonlyArray<StoredEvent>): Uint8Array => {
  const known = kept.get(batch[0])
  if (known?.length === batch.length) return known.bytes
  let joined = ""
  for (const stored of batch) joined += textOf(stored)
  const bytes = utf8.encode(joined)
  keep(batch[0], { length: batch.length, bytes })
  return bytes
}
