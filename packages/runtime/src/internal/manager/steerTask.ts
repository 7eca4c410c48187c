/** Asks something of the owner of a task, durably: cancel, or a decision about a tool call. */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import * as Decision from "@perennial/domain/Decision"
import { size } from "@perennial/domain/EventPayload"
import type { TaskId } from "@perennial/domain/Ids"
import { cancelKey, decisionKey, type Intent } from "@perennial/domain/Intent"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { AlreadyDecided, InvalidInput, TaskBackendError, ToolCallNotFound } from "@perennial/domain/TaskError"
import { type CancelOptions, decodeCancel, type TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Equal, Option } from "effect"
import { TaskEngine } from "../../TaskEngine.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { TaskReaders } from "../../TaskReaders.ts"
import { makeNotices } from "./notices.ts"
import { makeReadTasks } from "./readTasks.ts"

export const makeSteerTask = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const engine = yield* TaskEngine
  const limits = yield* CurrentTaskLimits
  const notices = yield* makeNotices
  const readers = yield* TaskReaders
  const { get, untilEnded } = yield* makeReadTasks

  const putIntent = Effect.fnUntraced(function*(id: TaskId, intent: Intent) {
    const recorded = yield* backend.putIntent(id, intent, { userId: yield* CurrentUser })
    const ended = isTerminal(recorded.task.status)
    if (recorded.written) {
      yield* notices.tasksChanged(yield* CurrentUser)
      yield* ended ? notices.endedUnbegun(id) : readers.logGrew(id)
      if (Option.isSome(recorded.promoted)) yield* engine.submit(recorded.promoted.value)
    }
    if (!ended) yield* notices.intentRecorded(id)
    return recorded
  }, Effect.uninterruptible)

  const cancel = Effect.fn("TaskManager.cancel")(function*(id: TaskId, options: CancelOptions = {}) {
    const value = yield* decodeCancel(options)
    const { task } = yield* putIntent(id, { key: cancelKey, value })
    yield* Effect.mapError(untilEnded(task), (cause) => new TaskBackendError({ operation: "cancel", cause }))
    return yield* get(id)
  })

  /** The `tool_approval` event that asks about a tool call, if there is one. */
  const questionOf = Effect.fnUntraced(function*(task: Task, toolCallId: string) {
    let after = 0
    while (after < task.lastSeq) {
      const { events } = yield* backend.events(task.id, { after, limit: 500, maxBytes: 1024 * 1024 })
      const found = events.find(({ event }) => event.type === "tool_approval" && event.toolCallId === toolCallId)
      if (found?.event.type === "tool_approval") return found.event
      after = Math.max(after + 1, events[events.length - 1]?.seq ?? task.lastSeq)
    }
    return undefined
  })

  const decide: TaskManager["Service"]["decide"] = Effect.fn("TaskManager.decide")(function*(id, toolCallId, given) {
    const decision = yield* Decision.decode(given)
    const asked = yield* Effect.catchTags(questionOf(yield* get(id), toolCallId), {
      CursorAhead: () => Effect.undefined,
      EventsExpired: () => Effect.undefined
    })
    if (asked === undefined) return yield* new ToolCallNotFound({ taskId: id, toolCallId })
    if (size({ ...asked, decision }) > limits.eventBytes) {
      return yield* new InvalidInput({
        field: decision.args === undefined ? "reason" : "args",
        problem: `does not fit into an event of ${limits.eventBytes} bytes beside the call's own arguments`
      })
    }
    const { value } = yield* putIntent(id, { key: decisionKey(toolCallId), value: decision })
    // The task has ended without a decision.
    if (Option.isNone(value)) return yield* new ToolCallNotFound({ taskId: id, toolCallId })
    if (!Equal.equals(value.value, decision)) return yield* new AlreadyDecided({ taskId: id, toolCallId })
  })

  return { cancel, decide }
})
