/**
 * The bytes of an event stream (WHATWG HTML, section 9.2), encoded once for all readers.
 *
 * Readers of one task share event objects. What was encoded is kept by their identity and goes when they go: a thousand
 * readers of a batch cost one encode and share one buffer, also where each has an array of its own.
 */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Array } from "effect"

const utf8 = new TextEncoder()
const texts = new WeakMap<StoredEvent, string>()
/** By the first event of a batch, the bytes of the batch that began with it last. */
const batches = new WeakMap<StoredEvent, { readonly length: number; readonly bytes: Uint8Array }>()

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
  const known = batches.get(batch[0])
  if (known !== undefined && known.length === batch.length) return known.bytes
  let joined = ""
  for (const stored of batch) joined += text(stored)
  const bytes = utf8.encode(joined)
  batches.set(batch[0], { length: batch.length, bytes })
  return bytes
}
