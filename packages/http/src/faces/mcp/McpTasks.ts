/**
 * A task as MCP shows it: the tasks of revision 2025-11-25, and those of the extension of revision 2026-07-28.
 *
 * @since 0.1.0
 */
import type { Task } from "@perennial/domain/Task"
import { DateTime } from "effect"
import type { Head, JsonObject, State } from "./McpCall.ts"
import { completed, question } from "./McpResult.ts"

/** How long a client shall wait before it asks again, in milliseconds. */
const pollInterval = 1_000

const statusOf = ({ status, waiting = [] }: Task): string => {
  switch (status) {
    case "queued":
    case "running":
      return waiting.length > 0 ? "input_required" : "working"
    case "error":
      return "failed"
    default:
      return status
  }
}

/**
 * A task without its result.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toMcp = (task: Task, { modern }: Pick<Head, "modern">): JsonObject => ({
  taskId: task.id,
  status: statusOf(task),
  ...(task.error === undefined ? {} : { statusMessage: task.error.detail }),
  createdAt: DateTime.formatIso(task.createdAt),
  lastUpdatedAt: DateTime.formatIso(task.updatedAt),
  ...(modern ? { ttlMs: null, pollIntervalMs: pollInterval } : { ttl: null, pollInterval })
})

/**
 * What the extension adds to a task: its result, its error, or the questions about its tool calls. `state` is the call at the end of
 * the log.
 *
 * @since 0.1.0
 * @category encoding
 */
export const detailOf = (task: Task, state: State): JsonObject => {
  switch (statusOf(task)) {
    case "completed":
      return { result: completed({ taskId: task.id, modern: true, ofTask: false }, state) }
    case "failed":
      return { error: { code: -32_603, message: task.error?.detail ?? "The task failed." } }
    case "input_required": {
      const waiting = [...state.calls].filter(([, call]) => call.waiting)
      return {
        inputRequests: Object.fromEntries(
          waiting.map(([id, call]) => [id, { method: "elicitation/create", params: question(call) }])
        )
      }
    }
    default:
      return {}
  }
}

/**
 * Whether `detailOf` needs the log.
 *
 * @since 0.1.0
 * @category accessors
 */
export const needsLog = (task: Task): boolean => ["completed", "input_required"].includes(statusOf(task))
