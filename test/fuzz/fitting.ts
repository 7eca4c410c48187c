/** What the parameters and fields of requests usually have, by their names. */
import { TaskId } from "@perennial/domain/Ids"
import * as McpCall from "@perennial/http/faces/mcp/McpCall"
import type { Known } from "./victim.ts"

const responsesOf = ({ tasks }: Known): ReadonlyArray<string> => tasks.map((id) => `resp_${id}_0`)

const mcpMethods = [
  "initialize",
  "server/discover",
  "tools/list",
  "tools/call",
  "tasks/get",
  "tasks/result",
  "tasks/list",
  "tasks/cancel",
  "tasks/update",
  "notifications/cancelled"
]

/** Places in the messages of a client of MCP. */
const eventIdsOf = ({ tasks }: Known): ReadonlyArray<string> =>
  tasks.map((taskId) => {
    const head = { id: 1, taskId: TaskId.make(taskId), after: 0, asks: "never", modern: false, ofTask: false } as const
    return `${McpCall.streamId({ ...head, primed: true })}.0`
  })

const idsOf = (known: Known, path: string): ReadonlyArray<string> => {
  const [first = ""] = /^\/[^/]*/.exec(path) ?? []
  switch (first) {
    case "/conversations":
    case "/ai-sdk":
      return known.conversations
    case "/webhooks":
      return known.webhooks
    case "/v1":
      return responsesOf(known)
    default:
      return known.tasks
  }
}

/** What a parameter of a name usually has. */
export const fitting = (known: Known, name: string, path: string): ReadonlyArray<string> => {
  switch (name) {
    case "id":
      return idsOf(known, path)
    case "conversationId":
    case "conversation":
    case "contextId":
    case "threadId":
    case "thread_id":
      return known.conversations
    case "runId":
    case "checkpointId":
    case "checkpoint_id":
    case "pageToken":
      return known.tasks
    case "previous_response_id":
      return responsesOf(known)
    case "method":
      return path === "/mcp" ? mcpMethods : []
    case "toolCallId":
      return known.calls
    case "taskId":
      return known.tasks
    case "replaces":
      return known.messages
    case "userId":
    case "owner":
      return ["victim"]
    case "agentId":
    case "assistantId":
    case "assistant_id":
    case "model":
      return ["echo"]
    case "before":
    case "after":
      return [...known.cursors, ...known.messages, ...known.tasks, "0", "1"]
    case "last-event-id":
      return path === "/mcp" ? eventIdsOf(known) : ["0", "1", "2", "100"]
    case "limit":
      return ["0", "1", "2", "100"]
    case "status":
      return ["queued", "running", "completed", "cancelled"]
    case "idempotency-key":
      return known.keys
    default:
      return []
  }
}
