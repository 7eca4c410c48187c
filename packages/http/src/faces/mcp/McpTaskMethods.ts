/**
 * The methods about tasks (`tasks/get` and so on), and the cancel of a call.
 *
 * @since 0.1.0
 */
import { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { CursorAhead } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Schema, Stream } from "effect"
import type { ClientMessage } from "./McpApi.ts"
import * as McpCall from "./McpCall.ts"
import type * as McpClient from "./McpClient.ts"
import type * as McpDecisions from "./McpDecisions.ts"
import { step } from "./McpMessages.ts"
import { type Call, headOf, invalidParams, type Reply, result, saidBefore } from "./McpRequest.ts"
import * as McpTasks from "./McpTasks.ts"

/** A cancel answers after this time at the latest. It is stored. */
const cancelPatience = "10 seconds"

/** How many active tasks of a user are searched for the call that a client cancels. */
const maxSearched = 1_000

const pageSize = 100

const decodeTaskId = Schema.decodeUnknownOption(TaskId)
const Mark = Schema.Struct({ mcp: Schema.Struct({ session: Schema.String, request: Schema.Json }) })
const decodeMark = Schema.decodeUnknownOption(Mark)

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

/**
 * The methods about tasks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*({ decideAll, taskOf }: Effect.Success<typeof McpDecisions.make>) {
  const manager = yield* TaskManager

  const cancel = (task: Task, reason?: string) =>
    manager.cancel(task.id, reason === undefined ? {} : { reason: reason.slice(0, 1_000) }).pipe(
      // Checked there: the reason is not too long.
      Effect.catchTag("InvalidInput", Effect.die),
      Effect.timeoutOption(cancelPatience),
      Effect.map(Option.getOrElse(() => task))
    )

  const getTask = Effect.fnUntraced(function*({ client, message, params }: Call) {
    const task = yield* taskOf(params["taskId"])
    if (!client.modern) return result(McpTasks.toMcp(task, client))
    const known = { resultType: "complete", ...McpTasks.toMcp(task, client) }
    if (!McpTasks.needsLog(task)) return result({ ...known, ...McpTasks.detailOf(task, McpCall.initial) })
    const head = headOf({ client: { ...client, asks: "request" }, message, params }, task, task.lastSeq)
    const { events } = yield* fromStart(manager.open(task.id))
    const state = yield* Stream.runFold(
      Stream.take(events, task.lastSeq),
      () => McpCall.initial,
      (state, stored) => step(head, state, stored).state
    )
    return result({ ...known, ...McpTasks.detailOf(task, state) })
  })

  const listTasks = Effect.fnUntraced(function*({ client, params }: Call) {
    const before = Option.getOrUndefined(decodeTaskId(params["cursor"]))
    const tasks = yield* manager.list({ before, limit: pageSize })
    const last = tasks[pageSize - 1]
    return result({
      tasks: tasks.map((task) => McpTasks.toMcp(task, client)),
      ...(last === undefined ? {} : { nextCursor: last.id })
    })
  })

  const cancelTask = Effect.fnUntraced(function*({ client, params }: Call) {
    const task = yield* taskOf(params["taskId"])
    if (isTerminal(task.status) && !client.modern) {
      return yield* invalidParams(`Task ${task.id} has ended: ${task.status}.`)
    }
    const cancelled = isTerminal(task.status) ? task : yield* cancel(task)
    return result(client.modern ? { resultType: "complete" } : McpTasks.toMcp(cancelled, client))
  })

  const taskResult = (call: Call) =>
    Effect.map(taskOf(call.params["taskId"]), (task): Reply => ({
      _tag: "Messages",
      head: { ...headOf(call, task, saidBefore(task)), ofTask: true }
    }))

  const update = Effect.fnUntraced(function*({ params }: Call) {
    const task = yield* taskOf(params["taskId"])
    yield* decideAll(task.id, params["inputResponses"])
    return result({ resultType: "complete" })
  })

  /** The client does not want the result of a request any more: the task of the call is cancelled. */
  const cancelled = Effect.fnUntraced(function*(client: McpClient.Client, { params = {} }: ClientMessage) {
    const { reason, requestId } = params
    if (client.session === undefined) return
    const tasks = yield* manager.list({ status: ["queued", "running"], limit: maxSearched })
    const task = tasks.find(({ metadata }) => {
      const mark = decodeMark(metadata)
      return mark._tag === "Some" && mark.value.mcp.session === client.session && mark.value.mcp.request === requestId
    })
    if (task !== undefined) yield* cancel(task, typeof reason === "string" ? reason : undefined)
  })

  return { getTask, listTasks, cancelTask, taskResult, update, cancelled }
})
