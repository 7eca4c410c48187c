/**
 * What a person answers to the questions about tool calls, and the tasks that a client names.
 *
 * @since 0.1.0
 */
import { TaskId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Schema } from "effect"
import type { ClientMessage } from "./McpApi.ts"
import * as McpCall from "./McpCall.ts"
import { invalidParams } from "./McpRequest.ts"
import * as McpTools from "./McpTools.ts"

const decodeAnswer = Schema.decodeUnknownOption(McpTools.Answer)
const decodeTaskId = Schema.decodeUnknownOption(TaskId)

/**
 * The tasks of a user, and the decisions about their tool calls.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const manager = yield* TaskManager

  const taskOf = Effect.fnUntraced(function*(given: McpCall.Json | undefined) {
    const id = decodeTaskId(given)
    if (Option.isNone(id)) return yield* invalidParams("taskId must be the id of a task.")
    return yield* Effect.catchTag(manager.get(id.value), "TaskNotFound", (error) => invalidParams(error.message))
  })

  /** Somebody else may have decided before. */
  const decide = Effect.fnUntraced(function*(taskId: TaskId, toolCallId: string, answer: unknown) {
    const decoded = decodeAnswer(answer)
    if (Option.isNone(decoded)) return yield* invalidParams(`The answer about ${toolCallId} is not that of a form.`)
    const decided = manager.decide(taskId, toolCallId, McpTools.decisionOf(decoded.value))
    yield* Effect.catchTag(decided, "AlreadyDecided", () => Effect.void)
  })

  const decideAll = Effect.fnUntraced(function*(taskId: TaskId, answers: McpCall.Json | undefined) {
    if (!McpCall.isObject(answers)) return false
    for (const [toolCallId, answer] of Object.entries(answers)) yield* decide(taskId, toolCallId, answer)
    return Object.keys(answers).length > 0
  })

  /** Takes the answer to a question. Without a result nobody has answered, and the tool call goes on waiting. */
  const answered = Effect.fnUntraced(function*({ id, result }: ClientMessage) {
    const { taskId, toolCallId } = McpCall.parseQuestionId(String(id))
    if (result === undefined) return
    const task = yield* taskOf(taskId)
    yield* decide(task.id, toolCallId, result)
  })

  return { taskOf, decideAll, answered }
})
