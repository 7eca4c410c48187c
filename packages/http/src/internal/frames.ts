/**
 * The bytes of an event stream (WHATWG HTML, section 9.2), encoded once for all readers.
 *
 * Readers of one task share event objects and, where they read the same batch, the array too. What was encoded is kept
 * by that identity and goes when it goes: a thousand readers of a batch cost one encode and share one buffer.
 */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Array } from "effect"

const utf8 = new TextEncoder()
const texts = new WeakMap<StoredEvent, string>()
const chunks = new WeakMap<object, Uint8Array>()

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

/** The frames of a batch, in one buffer. */
export const frames = (batch: Array.NonEmptyReadonlyArray<StoredEvent>): Uint8Array => {
  // Live batches of one event may arrive in an array of each reader's own; the event is shared in any case.
  const key = batch.length === 1 ? batch[0] : batch
  let encoded = chunks.get(key)
  if (encoded === undefined) {
    let joined = ""
    for (const stored of batch) joined += text(stored)
    chunks.set(key, encoded = utf8.encode(joined))
  }
  return encoded
}
