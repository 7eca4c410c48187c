/** The events of several logs on the wire: the frames of event logs, but with the place of the event as their `id`. */
import { taskIdOf } from "@perennial/domain/EventPlace"
import * as Wire from "../Wire.ts"
import { textOf } from "./eventFrames.ts"

const utf8 = new TextEncoder()

/** Readers of a task, of its tree and of its conversation share the text of each event. */
const encode: Wire.Wire["encode"] = (events) =>
  utf8.encode(events.map((stored) => `id: ${taskIdOf(stored.event)}/${textOf(stored).slice("id: ".length)}`).join(""))

/** `id: <taskId>/<seq>` and `data: <event JSON>` for each event. */
export const placeLog: Wire.Wire = { ...Wire.eventLog, encode }

/** The same for the browser's `EventSource`. */
export const placeSource: Wire.Wire = { ...Wire.eventSource, encode }
