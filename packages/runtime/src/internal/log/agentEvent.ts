/**
 * Checks the events of agents before they become durable. Agents may be written without types, and a task whose log cannot be
 * read could neither be resumed nor ended.
 */
import { AgentError } from "@perennial/domain/Agent"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { ConversationId, TaskId } from "@perennial/domain/Ids"
import { type AgentEvent, Known } from "@perennial/domain/TaskEvent"
import { maxOutputLength } from "@perennial/domain/TaskSummary"
import { Schema } from "effect"

const isKnown = Schema.is(Known)

/** The types that agents may emit. Only the runtime writes the other types: it makes sure that `done` is the last event (P4). */
const agentTypes: ReadonlySet<string> = new Set<AgentEvent["type"]>([
  "text",
  "reasoning",
  "tool_call",
  "tool_progress",
  "tool_approval",
  "tool_result",
  "message",
  "model_request",
  "retry",
  "data",
  "title",
  "output"
])

/** JSON may be nested to its bound in the fields of an event, and in the parts of its message. */
const maxDepth = ContentBounds.maxDepth + 8

type Ids = { readonly taskId: TaskId; readonly conversationId: ConversationId }

/** The record of the task has the output. */
const isLargeOutput = (event: AgentEvent): boolean =>
  event.type === "output" && ContentBounds.jsonProblem(event.output, maxOutputLength) !== undefined

/** Chunks are frequent and have one field. Other events are checked with their schema. */
const isWellFormed = (event: AgentEvent, { conversationId, taskId }: Ids): boolean =>
  event.type === "text" || event.type === "reasoning"
    ? typeof event.content === "string"
    : agentTypes.has(event.type) && !ContentBounds.isTooDeep(event, maxDepth) && !isLargeOutput(event) &&
      isKnown({ ...event, taskId, conversationId, ...(event.type === "retry" ? { discardAfter: 0 } : {}) })

/** Why events of an agent are refused. Undefined if they are accepted. */
export const malformed = (events: ReadonlyArray<AgentEvent>, ids: Ids): AgentError | undefined => {
  const wrong = events.find((event) => !isWellFormed(event, ids))
  return wrong === undefined ? undefined : new AgentError({
    error: "InvalidEvent",
    detail: `The agent emitted a "${String(wrong.type)}" event that is not one.`,
    retryable: false
  })
}
