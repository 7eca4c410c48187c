/**
 * A run of LangGraph as far as it has come.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"
import type { Json, LangMessage } from "./Messages.ts"

/**
 * The parts of a stream that a client may ask for, as LangGraph names them.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamMode = "values" | "updates" | "messages" | "messages-tuple" | "custom" | "tools"

/**
 * @since 0.1.0
 * @category constants
 */
export const streamModes: ReadonlyArray<StreamMode> = [
  "values",
  "updates",
  "messages",
  "messages-tuple",
  "custom",
  "tools"
]

/**
 * Which part of a task a stream has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly taskId: TaskId
  readonly threadId: string
  /** The seq of the last event before the stream: 0, or where a person was asked. */
  readonly after: number
  /** Pauses before this seq were left again, and do not end the stream. */
  readonly through: number
  readonly modes: ReadonlySet<StreamMode>
}

/**
 * A frame of a stream. `id` is the cursor: frames of one task are in the same order in every stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frame {
  readonly id: string
  readonly event: string
  /** Of `values`: the messages of the task alone, without those before it. */
  readonly data: Json | ReadonlyArray<Schema.Json>
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
}

/**
 * The answer that is being written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  readonly kind: Draft.Kind
  readonly text: string
  readonly reasoning: string
  /** How many characters the last `messages/partial` had. */
  readonly shown: number
}

/**
 * A run as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly status: "pending" | "running" | "interrupted" | "success" | "error"
  /** Whether the stream has ended. */
  readonly ended: boolean
  readonly begun: boolean
  readonly opened: boolean
  /** The complete messages of the task, without the user's. */
  readonly messages: ReadonlyArray<LangMessage>
  /** The number of complete answers. */
  readonly answers: number
  readonly draft: Draft.Draft
  readonly open: Open
  readonly calls: ReadonlyMap<string, Call>
  /** The seq at which everything began to wait for a person, the last time. */
  readonly pausedAt: number
  /** The answer in the form that the agent promises, once the task has it. */
  readonly output: Schema.Json | undefined
  readonly error: { readonly error: string; readonly message: string } | undefined
}

/**
 * @since 0.1.0
 * @category constants
 */
export const nothingOpen: Open = { kind: "text", text: "", reasoning: "", shown: 0 }

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  status: "pending",
  ended: false,
  begun: false,
  opened: false,
  messages: [],
  answers: 0,
  draft: Draft.empty,
  open: nothingOpen,
  calls: new Map(),
  pausedAt: 0,
  output: undefined,
  error: undefined
}

/**
 * Whether all open tool calls wait for a person.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPaused = ({ calls }: State): boolean =>
  calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

/**
 * The question to a person, in the form of LangChain's middleware for a human in the loop; nothing if nobody is asked.
 *
 * @since 0.1.0
 * @category encoding
 */
export const interruptsOf = (taskId: TaskId, state: State): ReadonlyArray<Json> => {
  if (!isPaused(state)) return []
  const calls = [...state.calls.values()]
  return [{
    id: `${taskId}.${state.pausedAt}`,
    value: {
      action_requests: calls.map(({ args, tool }) => ({
        name: tool,
        args,
        description: `May the tool "${tool}" be called with ${JSON.stringify(args)}?`
      })),
      review_configs: calls.map(({ tool }) => ({
        action_name: tool,
        allowed_decisions: ["approve", "edit", "reject"]
      }))
    }
  }]
}

/**
 * The values that a task gives to its thread. LangChain's agents put an answer with a form there, too.
 *
 * @since 0.1.0
 * @category encoding
 */
export const valuesOf = ({ messages, output }: State): Json => ({
  messages,
  ...(output === undefined ? {} : { structured_response: output })
})

/**
 * A place in the streams of a task.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cursor {
  readonly seq: number
  readonly n: number
}

/**
 * The cursor of a frame.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const toId = ({ n, seq }: Cursor): string => `${seq}-${n}`

/**
 * The place that a `Last-Event-ID` names. `-1` is the beginning. Undefined if the text is no cursor.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const parseId = (id: string): Cursor | undefined => {
  if (id === "-1") return { seq: 0, n: 0 }
  const [, seq, n] = /^(\d{1,15})-(\d{1,6})$/.exec(id) ?? []
  return seq === undefined ? undefined : { seq: Number(seq), n: Number(n) }
}

/**
 * Whether a frame comes after a place.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAfter = ({ n, seq }: Cursor) => ({ id }: Frame): boolean => {
  const at = parseId(id)
  return at !== undefined && (at.seq > seq || (at.seq === seq && at.n > n))
}

/**
 * A frame as an event of a stream. `before` are the messages of the thread before the answers of the task.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toText = (before: ReadonlyArray<LangMessage>) => ({ data, event, id }: Frame): string => {
  const own = event === "values" && "messages" in data && Array.isArray(data["messages"]) ? data["messages"] : undefined
  const whole = own === undefined ? data : { ...data, messages: [...before, ...own] }
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(whole)}\n\n`
}
