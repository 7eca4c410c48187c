/**
 * The place of an event among all events of its conversation: the cursor of a reader that follows a conversation.
 *
 * @since 0.1.0
 */
import { Schema, SchemaGetter } from "effect"
import { TaskId } from "./Ids.ts"
import type { StoredEvent, TaskEvent } from "./TaskEvent.ts"

/**
 * A task of the conversation, and the seq of one of its events.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventPlace {
  readonly taskId: TaskId
  readonly seq: number
}

/**
 * The place as text, `<taskId>/<seq>`: the id of the message that the event carries, if it carries one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventPlaceFromString = Schema.String.check(Schema.isPattern(/^.{1,200}\/[1-9]\d{0,14}$/s)).pipe(
  Schema.decodeTo(Schema.Struct({ taskId: TaskId, seq: Schema.Natural }), {
    decode: SchemaGetter.transform((text) => {
      const at = text.lastIndexOf("/")
      return { taskId: text.slice(0, at), seq: Number(text.slice(at + 1)) }
    }),
    encode: SchemaGetter.transform(({ seq, taskId }) => `${taskId}/${seq}`)
  })
)

/**
 * The task of an event. An event of an unknown type says it, too: every log adds the ids that it leaves out.
 *
 * @since 0.1.0
 * @category accessors
 */
export const taskIdOf = (event: TaskEvent): TaskId =>
  event.type === "unknown" ? TaskId.make(String(event.raw["taskId"] ?? "unknown")) : event.taskId

/**
 * The place of a stored event.
 *
 * @since 0.1.0
 * @category accessors
 */
export const placeOf = ({ event, seq }: StoredEvent): EventPlace => ({ taskId: taskIdOf(event), seq })
