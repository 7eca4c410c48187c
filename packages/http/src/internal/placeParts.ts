/** What the streams over several logs have in common: their cursor is the place of an event. */
import { EventPlaceFromString } from "@perennial/domain/EventPlace"
import { Schema } from "effect"
import * as examples from "./examples.ts"
import { TimedEventJson } from "./timedEvent.ts"

/** One frame, decoded: `id` is the place of the event, `data` the event with its time. */
export const PlaceFrame = Schema.Struct({
  id: EventPlaceFromString,
  event: Schema.String,
  data: TimedEventJson
})

/** An `EventSource` that has seen no id may send an empty one (HTML Standard, section 9.2): it is none. */
export const lastPlace = Schema.optionalKey(Schema.Union([Schema.Literal(""), EventPlaceFromString]))

export const describePlace = { schema: { type: "string", example: examples.place } as const }
