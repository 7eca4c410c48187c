/**
 * Events as the text that a store keeps.
 *
 * The text leaves out `taskId` and `conversationId`: the row or key of the log has them. They would be three quarters of a
 * stored chunk of one word. Reading adds them again.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { ConversationId, TaskId } from "./Ids.ts"
import { TaskEvent } from "./TaskEvent.ts"

/**
 * The ids that the text of an event leaves out.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventIds {
  readonly taskId: TaskId
  readonly conversationId: ConversationId
}

const decodeEvent = Schema.decodeUnknownSync(TaskEvent)

/**
 * The text of an event. The schemas of known events transform nothing: such an event is its own JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (event: TaskEvent): string => {
  const { conversationId: _conversationId, taskId: _taskId, ...fields } = event.type === "unknown" ? event.raw : event
  return JSON.stringify(fields)
}

/**
 * The event of a text, with the ids of its log. Throws when the text is not an event. A text that has the ids, as
 * earlier versions wrote it, is read, too.
 *
 * **Details**
 *
 * A known event keeps every stored field, also a field that a newer version added. Decoding only checks a known event,
 * because its schema transforms nothing.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string, { conversationId, taskId }: EventIds): TaskEvent => {
  const stored: unknown = JSON.parse(text)
  // In the order in which events are made: the type, then the ids.
  const json = typeof stored === "object" && stored !== null
    ? { type: undefined, taskId, conversationId, ...stored }
    : stored
  const event = decodeEvent(json)
  // The decoder has just accepted it as a known event.
  return event.type === "unknown" ? event : json as TaskEvent
}
