/** The feed as a stream of events, for the engine of event streams. */
import { FeedChange, type FeedUpdate } from "@perennial/domain/Feed"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Schema } from "effect"
import * as Wire from "../Wire.ts"

const encodeChange = Schema.encodeSync(FeedChange)
const utf8 = new TextEncoder()

/** An update as an event of a type that no log has. */
export const toEvent = ({ cursor, ...change }: FeedUpdate): StoredEvent => ({
  seq: cursor,
  at: cursor,
  event: { type: "unknown", raw: encodeChange(change) }
})

const encode: Wire.Wire["encode"] = (events) =>
  utf8.encode(
    events.map(({ event, seq }) => event.type === "unknown" ? `id: ${seq}\ndata: ${JSON.stringify(event.raw)}\n\n` : "")
      .join("")
  )

/** `id: <cursor>` and `data: <FeedChange>` for each update. Updates differ from reader to reader: no bytes are kept. */
export const feedLog: Wire.Wire = { ...Wire.eventLog, encode }

/** The same for the browser's `EventSource`. */
export const feedSource: Wire.Wire = { ...Wire.eventSource, encode }
