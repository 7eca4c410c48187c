/**
 * Starts, watches, cancels and awaits tasks: the service that applications and the HTTP layer use.
 *
 * A task belongs to the engine, never to the fiber that started it: it goes on when its caller, its readers or their
 * connections are gone.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type Decision, problemOf } from "@perennial/domain/Decision"
import type { AgentId, ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"
import * as MemoryTaskBackend from "@perennial/domain/MemoryTaskBackend"
import type { AssistantMessage, UserMessage } from "@perennial/domain/Message"
import { isTerminal, type Metadata, type OnBusy, type Task, type TaskStatus } from "@perennial/domain/Task"
import { cancelKey, decisionKey, type Head, type Intent, TaskBackend } from "@perennial/domain/TaskBackend"
import {
  type AgentNotFound,
  AlreadyDecided,
  type CapacityExceeded,
  type ConversationBusy,
  type ConversationNotFound,
  type ConversationStoreError,
  CursorAhead,
  type EventsExpired,
  type IdempotencyConflict,
  InvalidInput,
  type MessageNotFound,
  type QueueFull,
  StreamLost,
  TaskBackendError,
  type TaskNotFound,
  ToolCallNotFound
} from "@perennial/domain/TaskError"
import { size, type StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import type { Usage } from "@perennial/domain/Usage"
import { Context, Effect, Equal, Layer, Option, Stream } from "effect"
import { Digest } from "effect/crypto"
import { makeAccepting } from "./internal/accepting.ts"
import { supervise } from "./internal/supervision.ts"
import { TaskEngine } from "./TaskEngine.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * What to start.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartInput {
  /** What the user says: text, or a message with files. Not empty. */
  readonly message: string | UserMessage
  /** An unknown id is created for the caller; without one a new conversation begins. */
  readonly conversationId?: ConversationId | undefined
  /** Without one the first registered agent runs. */
  readonly agentId?: AgentId | undefined
  /** What to do when the conversation has an active task; `reject` by default. */
  readonly onBusy?: OnBusy | undefined
  /** Kept with the user's message. */
  readonly userMetadata?: Metadata | undefined
  /** Kept with the task. */
  readonly metadata?: Metadata | undefined
  /** Annotates every log line of the task, also after a recovery. */
  readonly logContext?: Readonly<Record<string, string>> | undefined
  /** The same key with the same input returns the same task; kept as long as the task. */
  readonly idempotencyKey?: string | undefined
  /**
   * Edits and sends again: one of the user's messages of the conversation, whose place this message takes. It leaves the
   * conversation with everything after it when the task begins, not before; the events of their tasks stay. One that has
   * left it already is replaced by nothing: this message comes at the end.
   */
  readonly replaces?: MessageId | undefined
}

/**
 * How to answer again.
 *
 * @since 0.1.0
 * @category models
 */
export interface RegenerateOptions
  extends Pick<StartInput, "agentId" | "onBusy" | "metadata" | "logContext" | "idempotencyKey">
{
  /** Without one the agent that ran before. */
  readonly agentId?: AgentId | undefined
}

/**
 * Why a task was not accepted. A failing store may have accepted it: start again with the same `idempotencyKey`.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartError =
  | InvalidInput
  | ConversationBusy
  | QueueFull
  | CapacityExceeded
  | AgentNotFound
  | ConversationNotFound
  | MessageNotFound
  | IdempotencyConflict
  | ConversationStoreError
  | TaskBackendError

/**
 * How a task ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskResult {
  readonly task: Task
  /** The last message of the assistant, if there is one. */
  readonly message?: AssistantMessage | undefined
  /** Only of completed tasks. */
  readonly usage?: Usage | undefined
}

/**
 * @since 0.1.0
 * @category services
 */
export class TaskManager extends Context.Service<TaskManager, {
  /**
   * Accepts a task and returns as soon as it is stored with the user's message (P1). It runs in the background.
   */
  readonly start: (input: StartInput) => Effect.Effect<Task, StartError>

  /**
   * Answers the user's last message again, by a new task with the same message in its place: `start` with `replaces`.
   * Fails with `MessageNotFound` when there is none.
   */
  readonly regenerate: (
    conversationId: ConversationId,
    options?: RegenerateOptions
  ) => Effect.Effect<Task, Exclude<StartError, InvalidInput>>

  /**
   * The events after a seq (0 by default): first what the log holds, then live, each once and in order (P3). Ends after
   * the terminal event. Fails before the stream when there is nothing to read from. A reader that stalls slows nobody;
   * it holds one page of at most 256 events and 1 MiB, and all readers of a task together at most 4 MiB of its
   * newest events (P6).
   */
  readonly events: (id: TaskId, options?: { readonly after?: number | undefined }) => Effect.Effect<
    Stream.Stream<StoredEvent, StreamLost>,
    TaskNotFound | EventsExpired | CursorAhead | TaskBackendError
  >

  /**
   * Cancels a task: true once `cancelled` is stored, false if it had already ended otherwise. Cancels on any process (P7).
   */
  readonly cancel: (
    id: TaskId,
    options?: { readonly reason?: string | undefined }
  ) => Effect.Effect<boolean, TaskNotFound | TaskBackendError>

  /** Reads a task. */
  readonly get: (id: TaskId) => Effect.Effect<Task, TaskNotFound | TaskBackendError>

  /** A page of tasks, newest first; `before` is the last id of the page before. `limit` is 1 to 1,000, 100 by default. */
  readonly list: (options?: {
    readonly conversationId?: ConversationId | undefined
    readonly status?: ReadonlyArray<TaskStatus> | undefined
    readonly before?: TaskId | undefined
    readonly limit?: number | undefined
  }) => Effect.Effect<ReadonlyArray<Task>, TaskBackendError>

  /** The ids of the user's running tasks on all processes, newest first, at most 10,000. */
  readonly running: Effect.Effect<ReadonlyArray<TaskId>, TaskBackendError>

  /** Waits for the end of a task. */
  readonly await: (
    id: TaskId
  ) => Effect.Effect<TaskResult, TaskNotFound | EventsExpired | StreamLost | TaskBackendError>

  /**
   * Answers a tool call that waits for approval. The first decision stands; the same one again is fine. `reason` has at
   * most 1,000 characters; `args` at most 64 Ki of JSON, and fits into one event with the call's own.
   */
  readonly decide: (
    id: TaskId,
    toolCallId: string,
    decision: Decision
  ) => Effect.Effect<void, InvalidInput | TaskNotFound | ToolCallNotFound | AlreadyDecided | TaskBackendError>

  /** Removes a conversation with its tasks, logs and messages, unless a task of it is active. */
  readonly deleteConversation: (
    id: ConversationId
  ) => Effect.Effect<void, ConversationNotFound | ConversationBusy | ConversationStoreError | TaskBackendError>

  /**
   * Hands the tasks of this process over, and takes no more: what is started from now on waits for another process. The
   * end of the layer does the same; a server that still waits for its requests then need not keep tasks waiting with it.
   */
  readonly drain: Effect.Effect<void>
}>()("@perennial/runtime/TaskManager") {
  /** Over any engine. */
  static readonly layerEngine: Layer.Layer<
    TaskManager,
    never,
    TaskEngine | TaskExecutor | TaskBackend | ConversationStore | Agents
  > = Layer.effect(TaskManager, Effect.suspend(() => make)).pipe(Layer.provide(Digest.layerWebCrypto))

  /** Runs tasks in this process, over any store. */
  static readonly layer: Layer.Layer<TaskManager, TaskBackendError, TaskBackend | ConversationStore | Agents> = this
    .layerEngine.pipe(
      Layer.provide(TaskEngine.layerLocal),
      Layer.provide(TaskExecutor.layer)
    )

  /** All in one for tests and first steps: this process, and a store that is gone with it. */
  static readonly layerMemory: Layer.Layer<
    TaskManager | TaskBackend | ConversationStore,
    TaskBackendError,
    Agents
  > = this.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(MemoryTaskBackend.layer, MemoryConversationStore.layer))
  )
}

const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* ConversationStore
  const agents = yield* Agents
  const executor = yield* TaskExecutor
  const engine = yield* TaskEngine
  const limits = yield* CurrentTaskLimits
  const digest = yield* Digest.Digest
  yield* supervise({ agents, backend, engine, executor, limits })

  /** A head of an agent that this process does not have is left to others. */
  const submit = (head: Option.Option<Head>) =>
    Option.isSome(head) && agents.ids.includes(head.value.agentId) ? engine.submit(head.value) : Effect.void

  const get = (id: TaskId) => Effect.flatMap(CurrentUser, (userId) => backend.get(id, { userId }))

  /** A task that ended before it began waits for no place, and its readers do not wait for it. */
  const endedUnbegun = (id: TaskId) => {
    executor.waiting.delete(id)
    return executor.grew(id)
  }

  /** The intent is durable: an owner that cannot be told now sees it with its next heartbeat. */
  const notify = (id: TaskId) => Effect.ignore(executor.notify(id), { log: "Warn" })

  const { regenerate, start } = makeAccepting({
    backend,
    store,
    agents,
    executor,
    limits,
    digest,
    submit,
    endedUnbegun,
    notify
  })

  const events = Effect.fn("TaskManager.events")(
    function*(id: TaskId, options?: { readonly after?: number | undefined }) {
      const after = options?.after ?? 0
      const task = yield* get(id)
      if (after > task.lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq: task.lastSeq })
      // Only logs of ended tasks expire.
      if (isTerminal(task.status)) yield* backend.events(id, { after, limit: 1, maxBytes: 0 })
      return executor.read(id, after)
    }
  )

  const ended = (task: Task) =>
    isTerminal(task.status) ? Effect.void : Stream.runDrain(executor.read(task.id, task.lastSeq))

  const putIntent = Effect.fnUntraced(function*(id: TaskId, intent: Intent) {
    const recorded = yield* backend.putIntent(id, intent, { userId: yield* CurrentUser })
    if (recorded.written) {
      yield* isTerminal(recorded.task.status) ? endedUnbegun(id) : executor.grew(id)
      yield* submit(recorded.promoted)
    }
    if (!isTerminal(recorded.task.status)) yield* notify(id)
    return recorded
  }, Effect.uninterruptible)

  const cancel = Effect.fn("TaskManager.cancel")(
    function*(id: TaskId, options?: { readonly reason?: string | undefined }) {
      const { task } = yield* putIntent(id, {
        key: cancelKey,
        value: options?.reason === undefined ? {} : { reason: options.reason }
      })
      yield* ended(task).pipe(
        Effect.mapError((cause) => new TaskBackendError({ operation: "cancel", cause }))
      )
      return (yield* get(id)).status === "cancelled"
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

  /** The last message, and what the task used. Backwards from the end: both are near it. */
  const lastOf = Effect.fnUntraced(function*(task: Task) {
    let usage: Usage | undefined
    for (let after = Math.max(0, task.lastSeq - 256);; after = Math.max(0, after - 256)) {
      const { events } = yield* backend.events(task.id, { after, limit: 256, maxBytes: Number.MAX_SAFE_INTEGER })
      const last = events.at(-1)?.event
      if (last?.type === "done") usage = last.usage
      const message = events.reduce(TaskView.apply, TaskView.empty).messages.at(-1)?.message
      if (message !== undefined || after === 0) {
        return { ...(message === undefined ? {} : { message }), ...(usage === undefined ? {} : { usage }) }
      }
    }
  })

  const await_ = Effect.fn("TaskManager.await")(function*(id: TaskId) {
    yield* ended(yield* get(id))
    const task = yield* get(id)
    return { task, ...(yield* toStreamErrors(task, lastOf(task))) }
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

  const decide = Effect.fn("TaskManager.decide")(function*(id: TaskId, toolCallId: string, decision: Decision) {
    const problem = problemOf(decision)
    if (problem !== undefined) return yield* new InvalidInput(problem)
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
    const { value } = yield* putIntent(id, { key: decisionKey(toolCallId), value: { ...decision } })
    // The task has ended, and nobody had decided.
    if (Option.isNone(value)) return yield* new ToolCallNotFound({ taskId: id, toolCallId })
    if (!Equal.equals(value.value, { ...decision })) return yield* new AlreadyDecided({ taskId: id, toolCallId })
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
    cancel,
    get: Effect.fn("TaskManager.get")(get),
    list,
    running: Effect.withSpan(running, "TaskManager.running"),
    await: await_,
    decide,
    deleteConversation,
    drain: executor.drain
  })
})

/** An end of the log that cannot be, but for a store that lost data. */
const toStreamErrors = <A, E, R>(task: Task, effect: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(
    effect,
    "CursorAhead",
    (error) =>
      Effect.fail(new StreamLost({ taskId: task.id, after: task.lastSeq, reason: (error as CursorAhead).message }))
  )
