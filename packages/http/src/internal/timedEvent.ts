/** An event with the time of its write, as the frames of event streams have it. */
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Schema } from "effect"

/** Milliseconds since 1970-01-01T00:00Z. A server of an earlier version does not send it. */
const at = Schema.optionalKey(Schema.Natural)

type Timed<Event> = Event extends unknown ? Event & { readonly at?: number } : never

const [, Unknown] = TaskEvent.TaskEvent.members

// One more field in each member of the union, whose type TypeScript does not compute.
const members = TaskEvent.Known.members.map(({ fields }) => Schema.Struct({ ...fields, at })) as ReadonlyArray<
  Schema.Schema<unknown>
> as ReadonlyArray<Schema.Codec<Timed<TaskEvent.Known>, object>>

/** In the OpenAPI document this is the `TaskEvent`: the name of the schema without its suffixes. */
export const TimedEvent = Schema.Union([...members, Unknown]).annotate({ identifier: "TaskEventJsonJson" })

/** The `data` of a frame. */
export const TimedEventJson = Schema.fromJsonString(TimedEvent).annotate({ identifier: "TaskEventJson" })

/** The event of a frame. `now` is its time if the server does not send it. */
export const toStored = (seq: number, data: typeof TimedEvent.Type, now: number): TaskEvent.StoredEvent => {
  if (data.type === "unknown") {
    const { at, ...raw } = data.raw
    return { seq, at: typeof at === "number" ? at : now, event: { type: "unknown", raw } }
  }
  const { at = now, ...event } = data
  return { seq, at, event }
}
