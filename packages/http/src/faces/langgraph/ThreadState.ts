/**
 * Threads of LangGraph: their state, and their history of one checkpoint for each task.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { TaskId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import { DateTime } from "effect"
import { fromStored, isQuestionOf, type Json, type LangMessage } from "./Messages.ts"
import { interruptsOf, type State, valuesOf } from "./RunState.ts"

/**
 * The checkpoint before the first message.
 *
 * @since 0.1.0
 * @category constants
 */
export const rootCheckpoint = "0"

/**
 * The task that a reader of a thread wants to see, as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Current {
  readonly task: Task
  /** Undefined if its log has expired. */
  readonly state: State | undefined
}

/**
 * The messages after a task, or after its message of the user and what it has added so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Turn {
  readonly taskId: TaskId
  readonly messages: ReadonlyArray<LangMessage>
}

/**
 * What comes before the answers of a task: the messages of earlier tasks, and the message of the user.
 *
 * @since 0.1.0
 * @category accessors
 */
export const before = (taskId: TaskId, stored: ReadonlyArray<StoredMessage>): ReadonlyArray<LangMessage> => {
  const at = stored.findIndex(isQuestionOf(taskId))
  // Ids sort by the time of their creation. A task that has not begun, or was replaced, has no message here.
  const earlier = at < 0 ? stored.filter((message) => message.taskId < taskId) : stored.slice(0, at + 1)
  return fromStored(earlier).map(({ message }) => message)
}

/**
 * The turns of a conversation, oldest first. The log of the current task knows more than the store.
 *
 * @since 0.1.0
 * @category accessors
 */
export const turnsOf = (
  stored: ReadonlyArray<StoredMessage>,
  current: Current | undefined
): ReadonlyArray<Turn> => {
  const turns: Array<{ readonly taskId: TaskId; readonly messages: Array<LangMessage> }> = []
  for (const { message, taskId } of fromStored(stored)) {
    const last = turns.at(-1)
    if (last?.taskId === taskId) last.messages.push(message)
    else turns.push({ taskId, messages: [message] })
  }
  const last = turns.at(-1)
  const state = current?.state
  if (state === undefined || last?.taskId !== current?.task.id || last === undefined) return turns
  const questions = last.messages.filter(({ type }) => type === "human")
  return [...turns.slice(0, -1), { taskId: last.taskId, messages: [...questions, ...state.messages] }]
}

const checkpointOf = (threadId: string, id: string): Json => ({
  thread_id: threadId,
  checkpoint_ns: "",
  checkpoint_id: id,
  checkpoint_map: null
})

/**
 * The message of a failed task, as the client parses it.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorOf = ({ error }: Task): Json | null =>
  error === undefined ? null : { error: error.code, message: error.detail }

const tasksOf = ({ state, task }: Current): ReadonlyArray<Json> => {
  const interrupts = state === undefined ? [] : interruptsOf(task.id, state)
  const error = errorOf(task)
  if (interrupts.length === 0 && error === null) return []
  return [{
    id: task.id,
    name: interrupts.length > 0 ? "tools" : "model",
    error: error === null ? null : JSON.stringify(error),
    interrupts,
    checkpoint: null,
    state: null
  }]
}

interface Place {
  readonly threadId: string
  readonly createdAt: DateTime.Utc
  readonly turns: ReadonlyArray<Turn>
  readonly current: Current | undefined
}

/**
 * The state after the first `count` turns.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toState = (
  { createdAt, current, threadId, turns }: Place,
  count: number
): Json & { readonly next: ReadonlyArray<string> } => {
  const id = turns[count - 1]?.taskId ?? rootCheckpoint
  const isNewest = count === turns.length && current !== undefined
  const tasks = isNewest ? tasksOf(current) : []
  const values = isNewest && current.state !== undefined ? valuesOf(current.state) : {}
  const isAsked = tasks.some(({ name }) => name === "tools")
  return {
    values: { ...values, messages: turns.slice(0, count).flatMap(({ messages }) => messages) },
    // Without questions, a node here would be a breakpoint to the client.
    next: isAsked ? ["tools"] : [],
    tasks,
    metadata: { source: "loop", step: count, parents: {} },
    created_at: DateTime.formatIso(createdAt),
    checkpoint: checkpointOf(threadId, id),
    parent_checkpoint: count === 0 ? null : checkpointOf(threadId, turns[count - 2]?.taskId ?? rootCheckpoint)
  }
}

/**
 * The number of turns before a checkpoint; undefined if the thread does not have it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const countAt = (turns: ReadonlyArray<Turn>, checkpointId: string): number | undefined => {
  if (checkpointId === rootCheckpoint) return 0
  const at = turns.findIndex(({ taskId }) => taskId === checkpointId)
  return at < 0 ? undefined : at + 1
}
