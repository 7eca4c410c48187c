/**
 * The identifiers of Perennial, and the service that makes new ones.
 *
 * New ids are UUIDv7 (RFC 9562, section 5.7): they sort by the time of their creation. Ids that clients choose
 * (of conversations) are opaque strings of 1 to 200 characters, without control characters and without
 * halves of surrogate pairs.
 *
 * @since 0.1.0
 */
import { Context, type DateTime, type Effect, Schema } from "effect"
import { SecureRandom } from "effect/crypto"

// Stores change other characters, so that two ids might become the same id.
const wellFormed = Schema.makeFilter((id: string) => !/[\p{Cc}\p{Cs}]/u.test(id), {
  expected: "text without control characters and halves of surrogate pairs"
})

const opaque = Schema.NonEmptyString.check(Schema.isMaxLength(200), wellFormed)

/**
 * Names one task.
 *
 * @since 0.1.0
 * @category ids
 */
export const TaskId = opaque.pipe(Schema.brand("TaskId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type TaskId = typeof TaskId.Type

/**
 * Names one conversation. A client may choose the id.
 *
 * @since 0.1.0
 * @category ids
 */
export const ConversationId = opaque.pipe(Schema.brand("ConversationId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type ConversationId = typeof ConversationId.Type

/**
 * Names the user that tasks and conversations belong to.
 *
 * @since 0.1.0
 * @category ids
 */
export const UserId = opaque.pipe(Schema.brand("UserId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type UserId = typeof UserId.Type

/**
 * Names a registered agent.
 *
 * @since 0.1.0
 * @category ids
 */
export const AgentId = opaque.pipe(Schema.brand("AgentId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type AgentId = typeof AgentId.Type

/**
 * Names one start of a process that executes tasks.
 *
 * @since 0.1.0
 * @category ids
 */
export const RunnerId = opaque.pipe(Schema.brand("RunnerId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type RunnerId = typeof RunnerId.Type

/**
 * Names one claim of a task: new for each execution, so that no execution gets the claim of another (P9).
 *
 * @since 0.1.0
 * @category ids
 */
export const ClaimId = opaque.pipe(Schema.brand("ClaimId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type ClaimId = typeof ClaimId.Type

/**
 * Names one message of a conversation: `<taskId>/<seq>` of the event that carried the message. Storing a message again is
 * therefore idempotent.
 *
 * @since 0.1.0
 * @category ids
 */
export const MessageId = Schema.NonEmptyString.check(wellFormed).pipe(Schema.brand("MessageId"))

/**
 * @since 0.1.0
 * @category ids
 */
export type MessageId = typeof MessageId.Type

/**
 * The id of the message that event `seq` of a task carries. The user's message is `messageId(taskId, 1)`.
 *
 * **Example** (the user's message)
 *
 * ```ts import.meta.vitest
 * import { Ids } from "@perennial/domain"
 *
 * Ids.messageId(Ids.TaskId.make("t1"), 1) // => "t1/1"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const messageId = (taskId: TaskId, seq: number): MessageId => `${taskId}/${seq}` as MessageId

/**
 * The task whose message this is.
 *
 * @since 0.1.0
 * @category accessors
 */
export const taskIdOf = (id: MessageId): TaskId => id.slice(0, Math.max(0, id.lastIndexOf("/"))) as TaskId

/**
 * A bound for lists of tasks by time: it sorts after every id that `NewId` made before this time, and before every id that it
 * made at this time or later. The time is the time of the process that accepted the task.
 *
 * @since 0.1.0
 * @category constructors
 */
export const taskIdAt = (time: DateTime.DateTime): TaskId => {
  const hex = Math.max(0, time.epochMilliseconds).toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}` as TaskId
}

/**
 * The largest number of a child task among the children of its parent.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxChildNumber = 999

/**
 * The id of a child task: `<parent>.<number>`, with three digits. The number counts the children of the parent, from 1 to
 * `maxChildNumber`. A child therefore sorts behind its parent and before all later tasks, and an interrupted start of it is
 * repeated under the same id (P1).
 *
 * **Example** (the first child, and its first child)
 *
 * ```ts import.meta.vitest
 * import { Ids } from "@perennial/domain"
 *
 * const child = Ids.childTaskId(Ids.TaskId.make("t1"), 1)
 * child // => "t1.001"
 * Ids.childTaskId(child, 1) // => "t1.001.001"
 * Ids.depthOf(child) // => 1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const childTaskId = (parent: TaskId, number: number): TaskId =>
  `${parent}.${String(number).padStart(3, "0")}` as TaskId

/**
 * How many tasks are above a task: 0 for a task that no other task has started.
 *
 * @since 0.1.0
 * @category accessors
 */
export const depthOf = (id: TaskId): number => id.split(".").length - 1

/**
 * Whether another task has started this task.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isChildTask = (id: TaskId): boolean => id.includes(".")

/**
 * The bounds of a list of all tasks below a task: its children, their children, and so on.
 *
 * @since 0.1.0
 * @category accessors
 */
export const tasksBelow = (id: TaskId): { readonly after: TaskId; readonly before: TaskId } => ({
  after: `${id}.` as TaskId,
  before: `${id}/` as TaskId
})

/**
 * The conversation of a child task. No list of conversations has it, unless the list asks for those of child tasks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const childConversationId = (child: TaskId): ConversationId => `~${child}` as ConversationId

/**
 * Whether the conversation belongs to a child task: its id begins with `~`. Nobody else may start a task in it.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isChildConversation = (id: ConversationId): boolean => id.startsWith("~")

const random = SecureRandom.make(SecureRandom.randomBytesUnsafe)

/**
 * Makes every new id of Perennial: UUIDv7, from `Clock` and the secure random bytes of the platform. An id without a dot: dots
 * are for the ids of child tasks.
 *
 * **When to use** A test provides another value to get predictable ids.
 *
 * @since 0.1.0
 * @category services
 */
export const NewId = Context.Reference<Effect.Effect<string>>("@perennial/domain/Ids/NewId", {
  defaultValue: () => random.uuidV7()
})
