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
import { toRaw as toRawMessage } from "./Message.ts"
import { type AgentEvent, TaskEvent, type Unknown } from "./TaskEvent.ts"

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

/**
 * An event as it is stored and sent: an event or a part of a message that another version wrote is its `raw`. Everything else
 * is its own JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toRaw = (event: TaskEvent): object => {
  if (event.type === "unknown") return event.raw
  return event.type === "message" ? { ...event, message: toRawMessage(event.message) } : event
}

const decodeEvent = Schema.decodeUnknownSync(TaskEvent)

/**
 * The text of an event. The schemas of known events transform only parts of messages: any other known event is its own JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (event: TaskEvent): string =>
  JSON.stringify({ ...toRaw(event), taskId: undefined, conversationId: undefined })

/** The type of the events that stand for events that a store cannot read. */
const unreadable = "unreadable"

/**
 * Stands for an event that a store has, but cannot read: a damaged row, for example. Readers get it as an `Unknown` event of
 * type `unreadable`, so that the log has no gap (P3).
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeUnreadable = ({ conversationId, taskId }: EventIds): Unknown => ({
  type: "unknown",
  raw: { type: unreadable, taskId, conversationId }
})

/**
 * Whether an event stands for one that the store cannot read.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isUnreadable = (event: TaskEvent): boolean => event.type === "unknown" && event.raw.type === unreadable

const decodeOrThrow = (text: string, { conversationId, taskId }: EventIds): TaskEvent => {
  const stored: unknown = JSON.parse(text)
  // In the order in which events are made: the type, then the ids.
  const json = typeof stored === "object" && stored !== null
    ? { type: undefined, taskId, conversationId, ...stored }
    : stored
  const event = decodeEvent(json)
  if (event.type === "unknown") return event
  // The decoder has just accepted it as a known event.
  const known = json as Exclude<TaskEvent, { readonly type: "unknown" }>
  if (event.type !== "message" || known.type !== "message") return known
  const content = event.message.content.map((part, i) =>
    part.type === "unknown" ? part : known.message.content[i] ?? part
  )
  return { ...known, message: { ...known.message, content } }
}

/**
 * The event of a text, with the ids of its log. A text that has the ids, as earlier versions wrote it, is read, too. A text
 * that is not an event becomes one of type `unreadable`: one damaged row must not hide the rest of a log.
 *
 * **Details**
 *
 * A known event keeps every stored field, also a field that a newer version added. Decoding only checks a known event,
 * because its schema transforms nothing but parts of messages that this version does not know.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string, ids: EventIds): TaskEvent => {
  try {
    return decodeOrThrow(text, ids)
  } catch {
    return makeUnreadable(ids)
  }
}

/**
 * The approximate size of an event, for bounds, in UTF-16 code units of its JSON: one to three bytes of UTF-8 each.
 *
 * @since 0.1.0
 * @category accessors
 */
export const size = (event: TaskEvent | AgentEvent): number =>
  event.type === "text" || event.type === "reasoning"
    ? event.content.length + 120
    : event.type === "ack" || event.type === "started"
    ? 2 * event.taskId.length + event.conversationId.length + 80
    : JSON.stringify(event.type === "unknown" ? event.raw : event).length
