/** Streams whose frames are made before they reach the connection, because a frame depends on the events before it. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { eventLog, type Wire } from "../Wire.ts"

/** An event, and the text that it is on the wire. */
export interface Framed extends StoredEvent {
  readonly frames: string
}

const utf8 = new TextEncoder()

/** The frames as they are, with these headers. Comments and `retry:` are those of Perennial's own streams. */
export const framed = (headers: Readonly<Record<string, string>> = {}): Wire<Framed> => ({
  ...eventLog,
  headers,
  encode: (events) => utf8.encode(events.map(({ frames }) => frames).join(""))
})
