/** The span of a tool call, by the conventions of OpenTelemetry for generative AI. */
import { CurrentTask } from "@perennial/domain/CurrentTask"
import type { ToolCallPart } from "@perennial/domain/Message"
import { Effect, Option } from "effect"
import { withSpan } from "./spans.ts"
import { identify, spanIdOf } from "./taskSpans.ts"

export const toolAttributes = (call: Pick<ToolCallPart, "tool" | "toolCallId">) => ({
  "gen_ai.operation.name": "execute_tool",
  "gen_ai.tool.name": call.tool,
  "gen_ai.tool.call.id": call.toolCallId,
  "gen_ai.tool.type": "function"
})

/** The next owner of the task completes the span if this process dies. */
export const withToolSpan = <A, E, R>(self: Effect.Effect<A, E, R>, call: ToolCallPart): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentTask, (task) =>
    withSpan(self, `execute_tool ${call.tool}`, () => ({
      attributes: toolAttributes(call),
      onStart: (span) => {
        if (Option.isSome(task)) {
          identify(span, { spanId: spanIdOf(task.value.taskId, task.value.attempt, call.toolCallId) })
        }
      }
    })))
