/**
 * Messages in the form of LangChain, as the clients of LangGraph have them.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import { messageId, type TaskId } from "@perennial/domain/Ids"
import {
  type AssistantMessage,
  type FilePart,
  text,
  type ToolResultPart,
  type UserMessage
} from "@perennial/domain/Message"
import { isZero, total, type Usage } from "@perennial/domain/Usage"
import { Predicate, type Schema } from "effect"

/**
 * @since 0.1.0
 * @category models
 */
export type Json = { readonly [field: string]: Schema.Json }

/**
 * A message of a thread. `type` is `human`, `ai` or `tool`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LangMessage extends Json {
  readonly id: string
  readonly type: string
}

/**
 * The id of an answer of the model: the n-th of its task, from 0. It is known before the answer is complete.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const answerId = (taskId: TaskId, n: number): string => `${taskId}.${n}`

/** LangChain's arguments are objects. */
const argsOf = (args: Schema.Json): Schema.Json =>
  Predicate.isObject(args) && !Array.isArray(args) ? args : { input: args }

/**
 * A tool call as a piece of a message that is streamed.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toCallChunk = (
  { args, tool, toolCallId }: { readonly args: Schema.Json; readonly tool: string; readonly toolCallId: string },
  index: number
): Json => ({ type: "tool_call_chunk", id: toolCallId, name: tool, args: JSON.stringify(argsOf(args)), index })

/**
 * Thinking has no field of its own in LangChain's messages: providers put it here.
 *
 * @since 0.1.0
 * @category encoding
 */
export const reasoning = (thought: string): Json =>
  thought === "" ? {} : { additional_kwargs: { reasoning_content: thought } }

/**
 * The tokens of an answer; nothing if they are not known.
 *
 * @since 0.1.0
 * @category encoding
 */
export const tokens = (usage: Usage | undefined): Json => {
  if (usage === undefined || isZero(usage)) return {}
  const { cacheReadTokens: read, cacheWriteTokens: written, inputTokens, outputTokens, reasoningTokens } = usage
  return {
    usage_metadata: {
      input_tokens: inputTokens + read + written,
      output_tokens: outputTokens,
      total_tokens: total(usage),
      input_token_details: { cache_read: read, cache_creation: written },
      output_token_details: { reasoning: reasoningTokens }
    }
  }
}

/**
 * An answer of the model.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toAnswer = (id: string, content: AssistantMessage["content"], usage?: Usage): LangMessage => {
  const textOf = (kind: "text" | "reasoning") => content.map((part) => part.type === kind ? part.text : "").join("")
  const calls = content.flatMap((part) =>
    part.type === "tool_call"
      ? [{ type: "tool_call", id: part.toolCallId, name: part.tool, args: argsOf(part.args) }]
      : []
  )
  return {
    id,
    type: "ai",
    content: textOf("text"),
    tool_calls: calls,
    ...reasoning(textOf("reasoning")),
    ...tokens(usage)
  }
}

/**
 * The result of a tool call.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toResult = (
  id: string,
  { result, status, tool, toolCallId }: Pick<ToolResultPart, "result" | "status" | "tool" | "toolCallId">
): LangMessage => ({
  id,
  type: "tool",
  name: tool,
  tool_call_id: toolCallId,
  content: typeof result === "string" ? result : JSON.stringify(result),
  status: status === "completed" ? "success" : "error"
})

const toBlock = ({ data, mediaType, name, url = `data:${mediaType};base64,${data ?? ""}` }: FilePart): Json =>
  mediaType.startsWith("image/")
    ? { type: "image_url", image_url: { url } }
    : { type: "file", mime_type: mediaType, url, ...(name === undefined ? {} : { name }) }

const toQuestion = (id: string, message: UserMessage): LangMessage => {
  const { content } = message
  if (content.every(({ type }) => type === "text")) return { id, type: "human", content: text(message) }
  const blocks = content.flatMap((part): ReadonlyArray<Json> => {
    if (part.type === "text") return [{ type: "text", text: part.text }]
    return part.type === "file" ? [toBlock(part)] : []
  })
  return { id, type: "human", content: blocks }
}

/** The key of the id that the client gave to its message, in the metadata of the message. */
const clientId = "langgraphMessageId"

/**
 * What keeps the client's id of a message.
 *
 * @since 0.1.0
 * @category encoding
 */
export const metadataOf = (id: string | undefined) => id === undefined ? {} : { userMetadata: { [clientId]: id } }

/**
 * The messages of a conversation, each with the task that it belongs to. A message that was stored in pieces is one.
 *
 * @since 0.1.0
 * @category encoding
 */
export const fromStored = (
  stored: ReadonlyArray<StoredMessage>
): ReadonlyArray<{ readonly taskId: TaskId; readonly message: LangMessage }> => {
  const out: Array<{ readonly taskId: TaskId; readonly message: LangMessage }> = []
  const answers = new Map<TaskId, number>()
  let pieces: AssistantMessage["content"] = []
  stored.forEach(({ id, message, metadata, taskId, usage }, i) => {
    if (message.role === "user") {
      const given = metadata?.[clientId]
      out.push({ taskId, message: toQuestion(typeof given === "string" ? given : id, message) })
      return
    }
    if (message.role === "tool") {
      for (const part of message.content) {
        if (part.type === "tool_result") out.push({ taskId, message: toResult(id, part) })
      }
      return
    }
    pieces = [...pieces, ...message.content]
    const next = stored[i + 1]
    const continued = next?.taskId === taskId && next.message.role === "assistant" &&
      !pieces.some(({ type }) => type === "tool_call")
    if (continued) return
    const n = answers.get(taskId) ?? 0
    answers.set(taskId, n + 1)
    out.push({ taskId, message: toAnswer(answerId(taskId, n), pieces, usage) })
    pieces = []
  })
  return out
}

/**
 * Whether this is the user's message of a task.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isQuestionOf = (taskId: TaskId) => ({ id }: StoredMessage): boolean => id === messageId(taskId, 1)
