/**
 * A response of the OpenAI Responses API as far as it has come, and as an object.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import * as Usage from "@perennial/domain/Usage"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"

/**
 * What of a response is not in the log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly taskId: TaskId
  /** The agent. */
  readonly model: string
  /** The seq of the last event that the response before had; 0 for the first response of a task. */
  readonly after: number
  /** Of the first response of the task. */
  readonly previousResponseId: string | null
  readonly background: boolean
  readonly metadata: { readonly [key: string]: Schema.Json }
}

/**
 * An item of the output. `type` is one that the client knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Item {
  readonly id: string
  readonly type: string
  readonly [field: string]: Schema.Json
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
  readonly asked: boolean
  /** Its item, once it is executed. */
  readonly item?: { readonly id: string; readonly index: number } | undefined
}

/**
 * The item that is being written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  readonly kind: Draft.Kind
  readonly id: string
  readonly index: number
  readonly text: string
}

/**
 * @since 0.1.0
 * @category models
 */
export type Status = "queued" | "in_progress" | "completed" | "failed" | "cancelled"

/**
 * A response as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly status: Status
  /** The number of events. */
  readonly count: number
  /** The number of items, void ones included. */
  readonly items: number
  /** The items that stand. */
  readonly output: ReadonlyArray<Item>
  readonly draft: Draft.Draft
  readonly drafted: ReadonlyArray<string>
  readonly open: Open | undefined
  readonly calls: ReadonlyMap<string, Call>
  readonly usage: Usage.Usage
  readonly error: string | undefined
  /** In seconds since 1970-01-01T00:00Z. */
  readonly createdAt: number
  /** The seq at which everything began to wait for a person, the last time, and the time before. */
  readonly pausedAt: number
  readonly pausedBefore: number
}

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  status: "queued",
  count: 0,
  items: 0,
  output: [],
  draft: Draft.empty,
  drafted: [],
  open: undefined,
  calls: new Map(),
  usage: Usage.zero,
  error: undefined,
  createdAt: 0,
  pausedAt: 0,
  pausedBefore: 0
}

/**
 * Whether the response has ended.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasEnded = ({ status }: State): boolean => status !== "queued" && status !== "in_progress"

/**
 * The id of a response.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const idOf = (taskId: TaskId, after: number): string => `resp_${taskId}_${after}`

/**
 * The task and the beginning that the id of a response means.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const parseId = (id: string): { readonly taskId: string; readonly after: number } | undefined => {
  const [, taskId, after] = /^resp_(.+)_(\d{1,15})$/s.exec(id) ?? []
  return taskId === undefined ? undefined : { taskId, after: Number(after) }
}

/**
 * The response as an object.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toObject = (head: Head, { createdAt, error, output, pausedBefore, status, usage }: State) => ({
  id: idOf(head.taskId, head.after),
  object: "response",
  created_at: createdAt,
  status,
  background: head.background,
  error: error === undefined ? null : { code: "server_error", message: error },
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  metadata: head.metadata,
  model: head.model,
  output,
  parallel_tool_calls: true,
  previous_response_id: head.after === 0 ? head.previousResponseId : idOf(head.taskId, pausedBefore),
  temperature: null,
  tool_choice: "auto",
  tools: [],
  top_p: null,
  usage: status === "queued" || status === "in_progress" ? null : {
    input_tokens: Usage.total(usage) - usage.outputTokens,
    input_tokens_details: { cached_tokens: usage.cacheReadTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: Usage.total(usage)
  }
})

/**
 * The id of a question about a tool call, and the call of such an id.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const requestId = (toolCallId: string): string => `mcpr_${toolCallId}`

/**
 * @since 0.1.0
 * @category identifiers
 */
export const toolCallIdOf = (requestId: string): string => requestId.replace(/^mcpr_/, "")
