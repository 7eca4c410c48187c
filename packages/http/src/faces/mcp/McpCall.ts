/**
 * A call of a tool that is an agent, as far as its task has come, and the place of a client in its messages.
 *
 * @since 0.1.0
 */
import { type ConversationId, TaskId } from "@perennial/domain/Ids"
import { Option, Result, Schema } from "effect"
import { Base64Url } from "effect/encoding"
import { RequestId } from "./McpApi.ts"

/**
 * A value of JSON.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = Schema.Json

/**
 * The fields of a JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export type JsonObject = { readonly [field: string]: Json }

/**
 * Whether a value is a JSON object. An array is none.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isObject = Schema.is(Schema.Record(Schema.String, Schema.Json))

/**
 * What is not in the log. A client brings it back in `Last-Event-ID`, so that every process can go on with the messages.
 *
 * @since 0.1.0
 * @category models
 */
export const Head = Schema.Struct({
  /** The id of the JSON-RPC request that the messages answer. */
  id: RequestId,
  taskId: TaskId,
  /** What the log has up to this seq was said in an earlier call. */
  after: Schema.Natural,
  progressToken: Schema.optionalKey(Schema.Union([Schema.String, Schema.Finite])),
  /**
   * How a person is asked about a tool call: by a request in the stream, by the result of the call, or not at all: then the
   * result says what to do.
   */
  asks: Schema.Literals(["request", "result", "never"]),
  /** Whether the client speaks revision 2026-07-28 or a later one. */
  modern: Schema.Boolean,
  /** Whether the result is that of `tasks/result`. */
  ofTask: Schema.Boolean,
  /** Whether the client accepts an event without a message (from revision 2025-11-25 on). */
  primed: Schema.Boolean
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Head extends Schema.Schema.Type<typeof Head> {}

const HeadText = Schema.fromJsonString(Head)
const decodeHead = Schema.decodeUnknownOption(HeadText)
const encodeHead = Schema.encodeSync(HeadText)

/**
 * The part of the event ids of a stream that stays the same.
 *
 * @since 0.1.0
 * @category encoding
 */
export const streamId = (head: Head): string => Base64Url.encode(encodeHead(head))

/**
 * Reads the id of an event: the stream, and how many messages of it the client has.
 *
 * @since 0.1.0
 * @category encoding
 */
export const parseEventId = (id: string): Option.Option<{ readonly head: Head; readonly count: number }> => {
  const [, encoded = "", count = ""] = /^([\w-]+)\.(\d{1,15})$/.exec(id) ?? []
  const text = Base64Url.decodeString(encoded)
  return Result.isFailure(text) || count === ""
    ? Option.none()
    : Option.map(decodeHead(text.success), (head) => ({ head, count: Number(count) }))
}

/**
 * A tool call of the agent without a result.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenCall {
  readonly tool: string
  readonly args: Json
  readonly waiting: boolean
  /** The client was asked about the call. */
  readonly asked: boolean
}

/**
 * The call as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  /** How many messages there are so far. */
  readonly count: number
  readonly ended: boolean
  readonly conversationId: ConversationId | undefined
  /** The text of the newest complete message of the agent, and whether its task ended in the middle of it. */
  readonly answer: string
  readonly partial: boolean
  /** The answer as a value, if the agent promises a form. */
  readonly output: Json | undefined
  /** The text of a message that continues in the next event. */
  readonly pieces: string
  readonly calls: ReadonlyMap<string, OpenCall>
  /** When the last progress was reported, in milliseconds since 1970. */
  readonly reportedAt: number
}

/**
 * Nothing has happened.
 *
 * @since 0.1.0
 * @category models
 */
export const initial: State = {
  count: 0,
  ended: false,
  conversationId: undefined,
  answer: "",
  partial: false,
  output: undefined,
  pieces: "",
  calls: new Map(),
  reportedAt: 0
}

/**
 * Whether all open tool calls of the agent wait for a person.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isPaused = ({ calls }: State): boolean =>
  calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

/**
 * The id of the question about a tool call. It says which call the answer is about.
 *
 * @since 0.1.0
 * @category encoding
 */
export const questionId = (taskId: TaskId, toolCallId: string): string => `${taskId}/${toolCallId}`

/**
 * Reads the id of a question.
 *
 * @since 0.1.0
 * @category encoding
 */
export const parseQuestionId = (id: string): { readonly taskId: string; readonly toolCallId: string } => {
  const end = id.indexOf("/")
  return { taskId: id.slice(0, Math.max(0, end)), toolCallId: id.slice(end + 1) }
}
