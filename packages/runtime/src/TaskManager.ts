/**
 * Starts, watches, cancels and awaits tasks: the service that applications and the HTTP layer use.
 *
 * A task belongs to the engine, never to the fiber that started it: it goes on when its caller, its readers or their
 * connections are gone.
 *
 * @since 0.1.0
 */
import type { Decision } from "@perennial/domain/Decision"
import type { AgentId, ConversationId, TaskId } from "@perennial/domain/Ids"
import type { AssistantMessage, UserMessage } from "@perennial/domain/Message"
import type { Metadata, OnBusy, Task, TaskStatus } from "@perennial/domain/Task"
import type {
  AgentNotFound,
  AlreadyDecided,
  CapacityExceeded,
  ConversationBusy,
  ConversationNotFound,
  ConversationStoreError,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  QueueFull,
  StreamLost,
  TaskBackendError,
  TaskNotFound,
  ToolCallNotFound
} from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Usage } from "@perennial/domain/Usage"
import { Context, type Effect, type Stream } from "effect"

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
}

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
  readonly start: (input: StartInput) => Effect.Effect<
    Task,
    | ConversationBusy
    | QueueFull
    | CapacityExceeded
    | AgentNotFound
    | ConversationNotFound
    | IdempotencyConflict
    | ConversationStoreError
    | TaskBackendError
  >

  /**
   * The events after a seq (0 by default): first what the log holds, then live, each once and in order (P3). Ends after
   * the terminal event. Fails before the stream when there is nothing to read from. A reader that stalls holds one page
   * of at most 256 events and 1 MiB, and slows nobody (P6).
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

  /** Answers a tool call that waits for approval. The first decision stands; the same one again is fine. */
  readonly decide: (
    id: TaskId,
    toolCallId: string,
    decision: Decision
  ) => Effect.Effect<void, TaskNotFound | ToolCallNotFound | AlreadyDecided | TaskBackendError>

  /** Removes a conversation with its tasks, logs and messages, unless a task of it is active. */
  readonly deleteConversation: (
    id: ConversationId
  ) => Effect.Effect<void, ConversationNotFound | ConversationBusy | ConversationStoreError | TaskBackendError>
}>()("@perennial/runtime/TaskManager") {}
