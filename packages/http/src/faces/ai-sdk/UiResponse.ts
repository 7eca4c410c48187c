/**
 * One response of the AI SDK face: a part of the chunks of a task, from its `start` to its `finish`.
 *
 * A response ends with its task, or where all open tool calls wait for a person: the client sends the answer only after the end
 * of the response. The answer begins the next response, which has only what is new.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as UiMessageStream from "./UiMessageStream.ts"

/**
 * Which part of the chunks a response has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly messageId: TaskId
  /** The seq of the last event that the response before had; 0 for the first response. */
  readonly after: number
  /** Where a response began that passed over its pauses: only those at this seq or later end it. `after` by default. */
  readonly through?: number | undefined
}

/**
 * A response as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface UiResponse {
  readonly state: UiMessageStream.State
  /** The number of chunks. */
  readonly count: number
  readonly ended: boolean
  /** The seq at which everything began to wait for a person, the last time. */
  readonly pausedAt: number
}

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: UiResponse = { state: UiMessageStream.initial, count: 0, ended: false, pausedAt: 0 }

/**
 * The response after one more event of the task, and its new chunks. All events of the task are given, from the first.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  response: UiResponse,
  stored: StoredEvent,
  { after, messageId, through = after }: Range
): { readonly response: UiResponse; readonly chunks: ReadonlyArray<UiMessageStream.Chunk> } => {
  const { seq } = stored
  const { chunks, state } = UiMessageStream.step(response.state, stored)
  const paused = UiMessageStream.isPaused(state)
  const pauses = paused && !UiMessageStream.isPaused(response.state)
  const pausedAt = pauses ? seq : response.pausedAt
  if (seq <= after) return { response: { ...response, state, pausedAt }, chunks: [] }
  const stops = paused && (seq === through || (pauses && seq > through))
  const all = [
    ...(response.count === 0 ? [UiMessageStream.start(messageId)] : []),
    ...chunks,
    ...(stops ? UiMessageStream.pause(state) : [])
  ]
  return {
    response: { state, count: response.count + all.length, ended: state.ended || stops, pausedAt },
    chunks: all
  }
}

/**
 * The name of a response. It is safe in a URL.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const idOf = ({ after, messageId }: Range): string => `${messageId}.${after}`

/**
 * The task and the beginning that a name may mean.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const parseId = (id: string): { readonly taskId: string; readonly after: number } | undefined => {
  const [, taskId, after] = /^(.+)\.(\d{1,15})$/s.exec(id) ?? []
  return taskId === undefined ? undefined : { taskId, after: Number(after) }
}
