/**
 * A run of AG-UI as far as it has come.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Json = { readonly [field: string]: Schema.Json }

/**
 * An event of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgUiEvent extends Json {
  readonly type: string
}

/**
 * A message of the client or of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgUiMessage extends Json {
  readonly id: string
  readonly role: string
}

/**
 * What of a run is not in the log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly taskId: TaskId
  readonly threadId: string
  readonly runId: string
  /** The seq of the last event that the run before had; 0 for the first run of a task. */
  readonly after: number
  /** What the client has from before the run. */
  readonly messages: ReadonlyArray<AgUiMessage>
  /** What the client shows of the run, from a connection that was cut. */
  readonly stale: ReadonlyArray<AgUiMessage>
}

/**
 * A tool call without a result.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly tool: string
  readonly args: Schema.Json
  readonly waiting: boolean
  readonly progressed: boolean
}

/**
 * The message that is being written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  readonly kind: Draft.Kind
  readonly id: string
  readonly text: string
}

/**
 * A run as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly begun: boolean
  readonly ended: boolean
  readonly draft: Draft.Draft
  readonly open: Open | undefined
  /** The messages of the run that stand. */
  readonly messages: ReadonlyArray<AgUiMessage>
  /** Those of the answer that is being written, and the thinking that became void. */
  readonly drafted: ReadonlyArray<string>
  readonly gone: ReadonlyArray<string>
  readonly calls: ReadonlyMap<string, Call>
  /** The last pause, and where each call began to wait. */
  readonly pausedAt: number
  readonly askedAt: ReadonlyMap<string, number>
}

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  begun: false,
  ended: false,
  draft: Draft.empty,
  open: undefined,
  messages: [],
  drafted: [],
  gone: [],
  calls: new Map(),
  pausedAt: 0,
  askedAt: new Map()
}

/**
 * The id of a question about a tool call.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const interruptId = (taskId: TaskId, toolCallId: string): string => `${taskId}/${toolCallId}`

/**
 * The task and the tool call of a question.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const parseInterruptId = (id: string): { readonly taskId: string; readonly toolCallId: string } => {
  const at = id.indexOf("/")
  return at < 0 ? { taskId: id, toolCallId: "" } : { taskId: id.slice(0, at), toolCallId: id.slice(at + 1) }
}
