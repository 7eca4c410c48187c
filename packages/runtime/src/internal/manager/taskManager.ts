/** `TaskManager` of this process: over a store, an executor and whatever engine there is. */
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import * as Decision from "@perennial/domain/Decision"
import type { ConversationId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { cancelKey, decisionKey, type Intent, TaskBackend } from "@perennial/domain/TaskBackend"
import {
  AlreadyDecided,
  CursorAhead,
  InvalidInput,
  StreamLost,
  TaskBackendError,
  ToolCallNotFound
} from "@perennial/domain/TaskError"
import { size } from "@perennial/domain/TaskEvent"
import { type CancelOptions, decodeCancel, TaskManager } from "@perennial/domain/TaskManager"
import * as TaskResult from "@perennial/domain/TaskResult"
import { Effect, Equal, Option, Stream } from "effect"
import { Digest } from "effect/crypto"
import { TaskEngine } from "../../TaskEngine.ts"
import { TaskExecutor } from "../../TaskExecutor.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { whileWaiting } from "../../TaskPlace.ts"
import { TaskReaders } from "../../TaskReaders.ts"
import { makeAccepting } from "./accepting.ts"

export const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* ConversationStore
  const agents = yield* Agents
  const executor = yield* TaskExecutor
  const engine = yield* TaskEngine
  const limits = yield* CurrentTaskLimits
  const digest = yield* Digest.Digest
  const readers = yield* TaskReaders

  const get = (id: TaskId) => Effect.flatMap(CurrentUser, (userId) => backend.get(id, { userId }))

  /** A task that ended before it began waits for no place, and its readers do not wait for it. */
  const endedUnbegun = (id: TaskId) => Effect.andThen(engine.forget(id), readers.logGrew(id))

  /** The intent is durable: an owner that cannot be told now sees it with its next heartbeat. */
  const notify = (id: TaskId) => Effect.ignore(executor.readIntents(id), { log: "Warn" })

  const { regenerate, start } = makeAccepting({
    backend,
    store,
    agents,
    engine,
    limits,
    digest,
    endedUnbegun,
    notify
  })

  const open = Effect.fn("TaskManager.open")(
    function*(id: TaskId, options?: { readonly after?: number | undefined }) {
      const after = options?.after ?? 0
      const task = yield* get(id)
      if (after > task.lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq: task.lastSeq })
      if (isTerminal(task.status)) {
        if (after === task.lastSeq) return { task, events: Stream.empty }
        // Only logs of ended tasks expire.
        yield* backend.events(id, { after, limit: 1, maxBytes: 0 })
      }
      return { task, events: readers.read(id, after) }
    }
  )

  const events: TaskManager["Service"]["events"] = (id, options) =>
    Effect.map(open(id, options), ({ events }) => events)

  const ended = (task: Task) =>
    isTerminal(task.status) ? Effect.void : whileWaiting(Stream.runDrain(readers.read(task.id, task.lastSeq)))

  const putIntent = Effect.fnUntraced(function*(id: TaskId, intent: Intent) {
    const recorded = yield* backend.putIntent(id, intent, { userId: yield* CurrentUser })
    if (recorded.written) {
      yield* isTerminal(recorded.task.status) ? endedUnbegun(id) : readers.logGrew(id)
      if (Option.isSome(recorded.promoted)) yield* engine.submit(recorded.promoted.value)
    }
    if (!isTerminal(recorded.task.status)) yield* notify(id)
    return recorded
  }, Effect.uninterruptible)

  const cancel = Effect.fn("TaskManager.cancel")(
    function*(id: TaskId, options: CancelOptions = {}) {
      const value = yield* decodeCancel(options)
      const { task } = yield* putIntent(id, { key: cancelKey, value })
      yield* ended(task).pipe(
        Effect.mapError((cause) => new TaskBackendError({ operation: "cancel", cause }))
      )
      return yield* get(id)
    }
  )

  const list: TaskManager["Service"]["list"] = Effect.fn("TaskManager.list")(function*(options = {}) {
    return yield* backend.list({
      ...options,
      userId: yield* CurrentUser,
      limit: Math.min(1_000, Math.max(1, options.limit ?? 100))
    })
  })

  const running = Effect.gen(function*() {
    const ids: Array<TaskId> = []
    while (ids.length < 10_000) {
      const page = yield* list({ status: ["running"], before: ids[ids.length - 1], limit: 1_000 })
      for (const task of page) ids.push(task.id)
      if (page.length < 1_000) break
    }
    return ids
  })

  const await_ = Effect.fn("TaskManager.await")(function*(id: TaskId) {
    yield* ended(yield* get(id))
    const task = yield* get(id)
    return yield* TaskResult.read(
      task,
      (page) => Effect.map(backend.events(id, { ...page, maxBytes: Number.MAX_SAFE_INTEGER }), ({ events }) => events)
    ).pipe(
      // The end of the log, which only a store that has lost data does not have.
      Effect.catchTag(
        "CursorAhead",
        ({ after, message }) => Effect.fail(new StreamLost({ taskId: id, after, reason: message }))
      )
    )
  })

  /** What a person was asked about a tool call, if anything. */
  const questionOf = Effect.fnUntraced(function*(task: Task, toolCallId: string) {
    let after = 0
    while (after < task.lastSeq) {
      const { events } = yield* backend.events(task.id, { after, limit: 500, maxBytes: 1024 * 1024 })
      const found = events.find(({ event }) => event.type === "tool_approval" && event.toolCallId === toolCallId)
      if (found?.event.type === "tool_approval") return found.event
      after = events[events.length - 1]?.seq ?? task.lastSeq
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
    // The task has ended, and nobody had decided.
    if (Option.isNone(value)) return yield* new ToolCallNotFound({ taskId: id, toolCallId })
    if (!Equal.equals(value.value, decision)) return yield* new AlreadyDecided({ taskId: id, toolCallId })
  })

  const deleteConversation = Effect.fn("TaskManager.deleteConversation")(function*(id: ConversationId) {
    const key = { id, userId: yield* CurrentUser }
    yield* store.get(key)
    yield* backend.deleteConversation({ conversationId: id, userId: key.userId })
    yield* store.delete(key)
  }, Effect.uninterruptible)

  return TaskManager.of({
    start,
    regenerate,
    events,
    open,
    cancel,
    get: Effect.fn("TaskManager.get")(get),
    list,
    running: Effect.withSpan(running, "TaskManager.running"),
    await: await_,
    decide,
    deleteConversation
  })
})
