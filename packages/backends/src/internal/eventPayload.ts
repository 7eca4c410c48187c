/**
 * Events as the text that a log holds.
 */
import { isProgress, type NewTask } from "@perennial/domain/TaskBackend"
import { ack, type StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import { Schema } from "effect"

const decode = Schema.decodeUnknownSync(TaskEvent)

/** The schemas of known events transform nothing: such an event is its own JSON. */
export const encodeEvent = (event: TaskEvent): string => JSON.stringify(event.type === "unknown" ? event.raw : event)

/** The first event of a task. Its log gives it the store's time. */
export const encodeAck = ({ conversationId, id }: Pick<NewTask, "id" | "conversationId">): string =>
  encodeEvent(ack({ id, conversationId, at: 0 }).event)

/**
 * Throws when the text is not an event. A known event is returned as it was stored, with fields that a newer version
 * added: decoding checked it and, as nothing is transformed, could only have left those out.
 */
export const decodeEvent = (payload: string): TaskEvent => {
  const json: unknown = JSON.parse(payload)
  const event = decode(json)
  return event.type === "unknown" ? event : json as TaskEvent
}

/** 1 when a task made progress with these events: its owners' deaths before them no longer count. */
export const progress = (events: ReadonlyArray<StoredEvent>): number => events.some(isProgress) ? 1 : 0
