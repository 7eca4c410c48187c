/**
 * The port to tasks: it starts, watches, cancels and awaits them. Applications and the HTTP layer use it. The runtime
 * provides it in process, and the HTTP client provides it over the network.
 *
 * A task belongs to the engine that executes it, never to the fiber that started it: the task goes on when its caller, its
 * readers or their connections are gone.
 *
 * @since 0.1.0
 */
import { Context, type DateTime, Effect, Schema, Stream } from "effect"
import type { AgentDescription } from "./Agent.ts"
import type { ApprovalPage, ApprovalsOptions } from "./Approval.ts"
import type { Decision } from "./Decision.ts"
import type { EventPlace } from "./EventPlace.ts"
import type { FeedUpdate } from "./Feed.ts"
import type { AgentId, ConversationId, TaskId } from "./Ids.ts"
import * as Input from "./Input.ts"
import type { RegenerateOptions, StartInput } from "./StartInput.ts"
import { isTerminal, type Task, type TaskCounts, type TaskStatus } from "./Task.ts"
import {
  type AgentNotFound,
  type AlreadyDecided,
  type CapacityExceeded,
  type ConversationBusy,
  type ConversationNotFound,
  type ConversationStoreError,
  CursorAhead,
  type EventsExpired,
  type IdempotencyConflict,
  type InvalidInput,
  type MessageNotFound,
  NoOutput,
  type QueueFull,
  type StreamLost,
  type TaskBackendError,
  type TaskNotFound,
  type ToolCallNotFound,
  type TooManyActiveTasks
} from "./TaskError.ts"
import type { StoredEvent } from "./TaskEvent.ts"
import type { TaskResult } from "./TaskResult.ts"
import type { Throughput } from "./Throughput.ts"

/**
 * Why `start` failed. If a store failed, the task may have been accepted: start again with the same `idempotencyKey`.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartError =
  | InvalidInput
  | ConversationBusy
  | QueueFull
  | TooManyActiveTasks
  | CapacityExceeded
  | AgentNotFound
  | ConversationNotFound
  | MessageNotFound
  | IdempotencyConflict
  | ConversationStoreError
  | TaskBackendError

/**
 * How to cancel.
 *
 * @since 0.1.0
 * @category models
 */
export const CancelOptions = Schema.Struct({
  /** Every reader sees the reason. At most 1,000 characters. */
  reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(1_000)))
}).annotate({ identifier: "CancelOptions" })

/**
 * How to cancel, as callers write it.
 *
 * @since 0.1.0
 * @category models
 */
export type CancelOptions = { readonly reason?: string | undefined }

/**
 * Checks what a caller gives to cancel a task.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeCancel: (options: CancelOptions) => Effect.Effect<typeof CancelOptions.Type, InvalidInput> = Input
  .decoder(CancelOptions, "options")

/**
 * Why the events of a task cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export type EventsError = TaskNotFound | EventsExpired | CursorAhead | TaskBackendError

/**
 * Which tasks a list has, and in which order.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListOptions {
  readonly conversationId?: ConversationId | undefined
  readonly agentId?: AgentId | undefined
  readonly status?: ReadonlyArray<TaskStatus> | undefined
  /** With `true` only tasks with tool calls that wait for a person. */
  readonly waiting?: boolean | undefined
  /**
   * Only the tasks below this task: its child tasks, their child tasks, and so on. Without `parent` a list has no child tasks,
   * unless `conversationId` or `waiting` selects them.
   */
  readonly parent?: TaskId | undefined
  /** Only tasks whose preview or title has this text, in upper or lower case. See `maxSearched`. */
  readonly text?: string | undefined
  /** Only tasks that were accepted at this time or later, by the clock of the process that accepted them. */
  readonly from?: DateTime.Utc | undefined
  /** Only tasks that were accepted before this time. */
  readonly to?: DateTime.Utc | undefined
  /** `newest` first by default. */
  readonly order?: "newest" | "oldest" | undefined
  /** The last id of the page before, newest first. */
  readonly before?: TaskId | undefined
  /** The last id of the page before, oldest first. */
  readonly after?: TaskId | undefined
  /** 1 to 1,000, 100 by default. */
  readonly limit?: number | undefined
}

/**
 * How many tasks a list with `text` looks at: the first that the other filters select. Further tasks are not found.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxSearched = 2_000

/**
 * The tasks of the current user. Every method answers for the user of its fiber (`CurrentUser`, P12).
 *
 * @since 0.1.0
 * @category services
 */
export class TaskManager extends Context.Service<TaskManager, {
  /**
   * Accepts a task and returns as soon as the task is stored with the user's message (P1). The task runs in the background.
   */
  readonly start: (input: StartInput) => Effect.Effect<Task, StartError>

  /**
   * Answers the user's last message again, by a new task with the same message in its place: `start` with `replaces`.
   * Fails with `MessageNotFound` when there is none.
   */
  readonly regenerate: (conversationId: string, options?: RegenerateOptions) => Effect.Effect<Task, StartError>

  /**
   * The events after a seq (0 by default), each once and in order (P3): first from the log, then live. The stream ends after
   * the terminal event. If the log cannot be read from this seq, the effect fails and there is no stream. A reader that
   * stalls does not delay the task or other readers. It holds one page of at most 256 events and 1 MiB; all readers of a task
   * together hold at most 4 MiB of its newest events (P6).
   */
  readonly events: (
    id: TaskId,
    options?: { readonly after?: number | undefined }
  ) => Effect.Effect<Stream.Stream<StoredEvent, StreamLost>, EventsError>

  /**
   * `events`, with the task as it was when the events were opened. `events` of an ended task whose `lastSeq` is `after`
   * are empty, also when its log has expired.
   */
  readonly open: (
    id: TaskId,
    options?: { readonly after?: number | undefined }
  ) => Effect.Effect<{ readonly task: Task; readonly events: Stream.Stream<StoredEvent, StreamLost> }, EventsError>

  /**
   * The events of a conversation after a place, each once and in order (P3): of one task after the other, in the order in which
   * the tasks were accepted. Without a place from the first task on. The stream waits for further tasks, and ends when the
   * conversation was deleted. If a log cannot be read from this place, the effect fails and there is no stream; if a later log
   * expires before the reader reaches it, the stream is lost. For a reader that stalls the same holds as with `events`.
   */
  readonly conversationEvents: (
    id: ConversationId,
    options?: { readonly after?: EventPlace | undefined }
  ) => Effect.Effect<
    Stream.Stream<StoredEvent, StreamLost | TaskBackendError>,
    ConversationNotFound | ConversationStoreError | EventsExpired | CursorAhead | TaskBackendError
  >

  /**
   * The events of a task and of all tasks below it, after a place, each once and in order (P3). The events of a child task come
   * right after the `tool_call` event that names the child, and before the next event of its parent: of children that run at the
   * same time one comes after the other. The stream ends after the terminal event of the task. Otherwise it is as
   * `conversationEvents`.
   */
  readonly treeEvents: (
    id: TaskId,
    options?: { readonly after?: EventPlace | undefined }
  ) => Effect.Effect<Stream.Stream<StoredEvent, StreamLost | TaskBackendError>, EventsError>

  /**
   * Cancels a task, on whichever process it runs, and waits for its end (P7). Returns the task as it ended: its status is
   * `cancelled`, unless it had ended otherwise before.
   */
  readonly cancel: (
    id: TaskId,
    options?: CancelOptions
  ) => Effect.Effect<Task, InvalidInput | TaskNotFound | TaskBackendError>

  /** Reads a task. */
  readonly get: (id: TaskId) => Effect.Effect<Task, TaskNotFound | TaskBackendError>

  /** A page of tasks. */
  readonly list: (options?: ListOptions) => Effect.Effect<ReadonlyArray<Task>, TaskBackendError>

  /**
   * How many tasks the user has, each number at most `Task.maxCount`. Child tasks count only as `waiting`, unless
   * `conversationId` selects them.
   */
  readonly counts: (options?: {
    readonly conversationId?: ConversationId | undefined
    readonly agentId?: AgentId | undefined
  }) => Effect.Effect<TaskCounts, TaskBackendError>

  /** How many of the user's tasks began and ended in each minute of the last hour, by the times of their records. */
  readonly throughput: Effect.Effect<Throughput, TaskBackendError>

  /** The ids of the user's running tasks on all processes, newest first, at most 10,000. Child tasks are left out. */
  readonly running: Effect.Effect<ReadonlyArray<TaskId>, TaskBackendError>

  /** Waits for the end of a task. */
  readonly await: (
    id: TaskId
  ) => Effect.Effect<TaskResult, TaskNotFound | EventsExpired | StreamLost | TaskBackendError>

  /**
   * Decides about a tool call that waits for approval. The first decision counts; the same decision again is accepted.
   * `reason` has at most 1,000 characters, and `args` at most 64 Ki characters of JSON. `args` and the original arguments
   * together must fit into one event.
   */
  readonly decide: (
    id: TaskId,
    toolCallId: string,
    decision: Decision
  ) => Effect.Effect<void, InvalidInput | TaskNotFound | ToolCallNotFound | AlreadyDecided | TaskBackendError>

  /** A page of the tool calls that wait for the user's decision, on all processes. */
  readonly approvals: (options?: ApprovalsOptions) => Effect.Effect<ApprovalPage, TaskBackendError>

  /**
   * How the user's tasks are, on all processes: first a snapshot of what is active, then what changes. `after` is the cursor
   * of the newest update that is known: the snapshot then also has the tasks that have ended since, of the newest 1,000.
   * Webhooks of the user that were disabled are in it, if the application provides a `WebhookStore`.
   * A slow reader gets the latest state, and never what came between. It holds one update of at most 2,000 tasks; all readers
   * of a user hold as much together (P6). The stream does not end by itself.
   */
  readonly feed: (
    options?: { readonly after?: number | undefined }
  ) => Effect.Effect<Stream.Stream<FeedUpdate, TaskBackendError>, TaskBackendError>

  /** The agents of this process, or of the server, in the order of registration: the first is the default. */
  readonly agents: Effect.Effect<ReadonlyArray<AgentDescription>, TaskBackendError>

  /**
   * Removes a conversation with its tasks, logs and messages, and with the conversations of their child tasks, unless a task of
   * one of them is active.
   */
  readonly deleteConversation: (
    id: ConversationId
  ) => Effect.Effect<void, ConversationNotFound | ConversationBusy | ConversationStoreError | TaskBackendError>
}>()("@perennial/domain/TaskManager") {}

/** Why the task has no output. */
const whyNone = ({ error, output, status }: Task): string | undefined => {
  if (status === "error") return `it ended with the error ${error?.code}. ${error?.detail}`
  if (status === "cancelled") return "it was cancelled."
  return output === undefined ? "its agent gave none." : undefined
}

/**
 * Waits for the end of a task of this agent, and returns its output as a value. `agent` is the agent, its configuration, or
 * any object with the schema as `output`. Fails with `NoOutput` if the task did not complete, or with another form of output.
 *
 * @since 0.1.0
 * @category accessors
 */
export const awaitOutput = Effect.fn("TaskManager.awaitOutput")(function*<A>(
  id: TaskId,
  { output: schema }: { readonly output?: Schema.Codec<A, unknown> | undefined }
) {
  const { task } = yield* (yield* TaskManager).await(id)
  if (schema === undefined) return yield* new NoOutput({ taskId: id, problem: "its agent promises none." })
  const problem = whyNone(task)
  if (problem !== undefined) return yield* new NoOutput({ taskId: id, problem })
  return yield* Effect.mapError(
    Schema.decodeUnknownEffect(Schema.toCodecJson(schema))(task.output),
    (error) => new NoOutput({ taskId: id, problem: error.message.replaceAll(/\s+/g, " ") })
  )
})

/**
 * The ids of running tasks, newest first, at most 10,000: `running` for a manager that has `list`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const runningOf = Effect.fnUntraced(function*(list: TaskManager["Service"]["list"]) {
  const ids: Array<TaskId> = []
  while (ids.length < 10_000) {
    const page = yield* list({ status: ["running"], before: ids.at(-1), limit: 1_000 })
    for (const { id } of page) ids.push(id)
    if (page.length < 1_000) break
  }
  return ids
})

/**
 * The rules of `open`, for a manager that can read a task, look for its log, and follow its events.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openWith = (parts: {
  readonly get: TaskManager["Service"]["get"]
  /** Fails if the log is not there. Only logs of ended tasks expire. */
  readonly checkLog: (id: TaskId, after: number) => Effect.Effect<unknown, EventsError>
  readonly follow: (id: TaskId, after: number) => Stream.Stream<StoredEvent, StreamLost>
}): TaskManager["Service"]["open"] =>
  Effect.fn("TaskManager.open")(function*(id, options) {
    const after = options?.after ?? 0
    const task = yield* parts.get(id)
    if (after > task.lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq: task.lastSeq })
    if (isTerminal(task.status)) {
      if (after === task.lastSeq) return { task, events: Stream.empty }
      yield* parts.checkLog(id, after)
    }
    return { task, events: parts.follow(id, after) }
  })
