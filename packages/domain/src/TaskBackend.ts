/**
 * The port to where tasks, their event logs, their ownership and what is asked of their owners are kept.
 *
 * One port, because P2, P4 and P9 need these in one commit.
 *
 * @since 0.1.0
 */
import { type Array, Context, type Duration, type Effect, type Option, type Schema, type Stream } from "effect"
import type { AgentId, ConversationId, MessageId, RunnerId, TaskId, UserId } from "./Ids.ts"
import type { UserMessage } from "./Message.ts"
import type { Metadata, OnBusy, Task, TaskStatus } from "./Task.ts"
import type {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound
} from "./TaskError.ts"
import type { StoredEvent } from "./TaskEvent.ts"

/**
 * What a task is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewTask {
  readonly id: TaskId
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly agentId: AgentId
  readonly input: UserMessage
  /** Kept with the user's message. */
  readonly userMetadata?: Metadata | undefined
  readonly metadata?: Metadata | undefined
  /** Leaves the conversation when the task begins, with everything after it. */
  readonly replaces?: MessageId | undefined
  /** Annotates every log line of the task, also after a recovery. */
  readonly logContext?: Readonly<Record<string, string>> | undefined
  /** Unique per user, with a hash of the request it came with. */
  readonly idempotency?: { readonly key: string; readonly requestHash: string } | undefined
}

/**
 * A task that may run now and has no owner: the head of its conversation. `token` is the fencing token it was seen with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly taskId: TaskId
  readonly conversationId: ConversationId
  readonly agentId: AgentId
  readonly token: number
}

/**
 * What `create` did.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created {
  readonly task: Task
  /** False when the task was there already (same id or same idempotency key): nothing else happened then. */
  readonly created: boolean
  /** Set when the task may run at once. */
  readonly head: Option.Option<Head>
  /** With `interrupt`: tasks that had not begun and ended `cancelled` in this commit. */
  readonly cancelled: ReadonlyArray<TaskId>
  /** With `interrupt`: tasks whose owners have been asked to cancel. */
  readonly cancelling: ReadonlyArray<TaskId>
}

/**
 * The right to execute a task and to write to its log, with what an owner needs to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly taskId: TaskId
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly agentId: AgentId
  readonly runnerId: RunnerId
  /** Fencing token: one more at every claim. Every write of an owner is checked against it (P9). */
  readonly token: number
  /** Counts claims, from 1. */
  readonly attempt: number
  /** Owners that died on the task since it last made progress. */
  readonly failures: number
  readonly lastSeq: number
  readonly input: UserMessage
  readonly userMetadata: Metadata | undefined
  readonly metadata: Metadata | undefined
  readonly replaces: MessageId | undefined
  readonly logContext: Readonly<Record<string, string>> | undefined
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly createdAt: number
  /** When the task was first claimed, milliseconds since 1970-01-01T00:00Z. */
  readonly startedAt: number
  /** How many intents are recorded. */
  readonly intents: number
}

/**
 * What identifies a claim in a write.
 *
 * @since 0.1.0
 * @category models
 */
export type Fence = Pick<Claim, "taskId" | "token">

/**
 * Something asked of the owner of a task, durably. Keys: `cancel`, `decision/<toolCallId>`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Intent {
  readonly key: string
  readonly value: Schema.Json
}

/**
 * The key under which a cancel is asked for; its value is `{ reason?: string }`.
 *
 * @since 0.1.0
 * @category constants
 */
export const cancelKey = "cancel"

/**
 * The reason that the value of a cancel carries.
 *
 * @since 0.1.0
 * @category accessors
 */
export const cancelReason = (value: Schema.Json): string | undefined => {
  const reason: Schema.Json | undefined = typeof value === "object" && value !== null && "reason" in value
    ? value.reason
    : undefined
  return typeof reason === "string" ? reason : undefined
}

/**
 * The reason recorded with a cancel that a task with `interrupt` caused.
 *
 * @since 0.1.0
 * @category constants
 */
export const interruptReason = "interrupted by a newer message"

/**
 * The key under which the decision about a tool call is recorded.
 *
 * @since 0.1.0
 * @category constants
 */
export const decisionKey = (toolCallId: string): string => `decision/${toolCallId}`

/**
 * Whether an event shows that its task gets on: a whole message, or the result of a call that ended. What settles the log
 * of an owner that died shows nothing.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isProgress = ({ event }: StoredEvent): boolean =>
  event.type === "message" ? event.partial !== true : event.type === "tool_result" && event.status !== "interrupted"

/**
 * What `putIntent` did.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntentRecorded {
  /** False when the key was taken before (the first writer wins) or the task has ended. */
  readonly written: boolean
  /** The value that is recorded; none when the task ended without one. */
  readonly value: Option.Option<Schema.Json>
  /** The task after this commit. */
  readonly task: Task
  /** Set when the task had never begun, ended here, and the next one of the conversation may run. */
  readonly promoted: Option.Option<Head>
}

/**
 * A page of a task's log.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventPage {
  readonly events: ReadonlyArray<StoredEvent>
  /** The seq of the newest event of the task. */
  readonly lastSeq: number
  /** Whether the task has ended: `lastSeq` is its terminal event then. */
  readonly ended: boolean
}

/**
 * A hint from another process. It may be dropped or repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake {
  /** `log`: the log grew. `intent`: something was asked. `head`: a task waits for an owner. `all`: look at everything. */
  readonly kind: "log" | "intent" | "head" | "all"
  readonly taskId?: TaskId | undefined
}

/**
 * Keeps tasks. An implementation passes `TaskBackendContract`, which has a test for every sentence here.
 *
 * **Details**
 *
 * Every method is atomic and durable when it returns, under any concurrency, on any number of processes. Transient
 * failures are retried inside within a budget, beyond which no answer is waited for, and a lost reply is resolved by
 * asking the row. Methods never fail with anything but what they declare.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskBackend extends Context.Service<TaskBackend, {
  /**
   * How long a group commit waits for company; zero where a commit is cheap or concurrent commits share their cost.
   */
  readonly commitWindow: Duration.Duration

  /**
   * Accepts a task with the user's message and its `ack` event (P1), at most one active per conversation unless
   * `onBusy` says otherwise (P2).
   *
   * The idempotency key is looked at before anything else; then the task id (a lost reply); then the owner of the
   * conversation (`ConversationNotFound` when it is another user's); then whether it is busy. `interrupt` ends tasks
   * that have not begun and records a cancel intent for the one that has, in the same commit.
   */
  readonly create: (task: NewTask, options: {
    readonly onBusy: OnBusy
    /** How many tasks may wait behind the head, at least 0. */
    readonly maxQueued: number
  }) => Effect.Effect<
    Created,
    ConversationBusy | QueueFull | IdempotencyConflict | ConversationNotFound | TaskBackendError
  >

  /** Reads a task; with a `userId` only that user's. */
  readonly get: (
    id: TaskId,
    options?: { readonly userId?: UserId | undefined }
  ) => Effect.Effect<Task, TaskNotFound | TaskBackendError>

  /** A page of a user's tasks, newest first by id; `before` is the last id of the page before. */
  readonly list: (options: {
    readonly userId: UserId
    readonly conversationId?: ConversationId | undefined
    readonly status?: ReadonlyArray<TaskStatus> | undefined
    readonly before?: TaskId | undefined
    /** 1 to 1,000. */
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Task>, TaskBackendError>

  /**
   * Becomes the owner of a head. Wins only if the task is an active head, its token is still `expectedToken`, and it
   * has no owner or its owner's lease has run out; counts a failure in the latter case. Asking again with the same
   * runner after a lost reply returns the claim that was won.
   */
  readonly claim: (id: TaskId, options: {
    readonly runnerId: RunnerId
    readonly expectedToken: number
  }) => Effect.Effect<Option.Option<Claim>, TaskBackendError>

  /**
   * Appends to the logs of many tasks in one commit. An entry whose token is not the task's, or whose first seq is not
   * `lastSeq + 1`, is not `ok` and changes nothing; it does not disturb the others (P9). An event that shows progress
   * (`isProgress`) sets `failures` to 0. A claim comes at most once in a batch. `intents` is how many are recorded, where
   * it is `ok`.
   */
  readonly append: (
    batch: Array.NonEmptyReadonlyArray<{
      readonly claim: Fence
      readonly events: Array.NonEmptyReadonlyArray<StoredEvent>
    }>
  ) => Effect.Effect<ReadonlyArray<{ readonly ok: boolean; readonly intents: number }>, TaskBackendError>

  /**
   * Appends the last events, the very last of them terminal, sets the terminal status (and the error's `detail`), and
   * makes the next task of the conversation its head, which changes that one, in one commit (P4). Returns that head.
   */
  readonly finish: (
    claim: Fence,
    events: Array.NonEmptyReadonlyArray<StoredEvent>
  ) => Effect.Effect<Option.Option<Head>, LeaseLost | TaskBackendError>

  /** Gives a task up without an outcome: it has no owner then. Counts no failure. Does nothing when the lease is lost. */
  readonly release: (claim: Fence) => Effect.Effect<void, TaskBackendError>

  /**
   * Reads the log after a seq: at most `limit` events and, but for the first, at most `maxBytes` of them.
   *
   * Fails with `EventsExpired` when the log was pruned and with `CursorAhead` when `after` is beyond its end.
   */
  readonly events: (id: TaskId, options: {
    readonly after: number
    /** 1 to 1,000. */
    readonly limit: number
    readonly maxBytes: number
  }) => Effect.Effect<EventPage, TaskNotFound | EventsExpired | CursorAhead | TaskBackendError>

  /** The newest seq of each of these tasks; those that are not there are left out. At most 1,000 ids. */
  readonly lastSeqs: (
    ids: ReadonlyArray<TaskId>
  ) => Effect.Effect<ReadonlyArray<{ readonly taskId: TaskId; readonly lastSeq: number }>, TaskBackendError>

  /**
   * Renews the lease of a runner for `ttl` by the store's clock, also one that has run out, and returns what it owns. A
   * ttl of zero ends the lease at once. Sets `failures` to 0 for tasks owned for more than a minute.
   */
  readonly heartbeat: (runnerId: RunnerId, ttl: Duration.Duration) => Effect.Effect<{
    readonly owned: ReadonlyArray<Fence & { readonly intents: number }>
  }, TaskBackendError>

  /**
   * Active heads that nobody owns: never claimed, released, or with an owner whose lease has run out; oldest first.
   *
   * With `agentIds` only those of these agents, and those of others that anybody may end: with a recorded cancel, or
   * stale. Others do not count, however many there are.
   */
  readonly unowned: (options: {
    /** 1 to 1,000. */
    readonly limit: number
    /** The agents of the process that asks. */
    readonly agentIds?: ReadonlyArray<AgentId> | undefined
    /**
     * Stale is what was first claimed before, or never claimed and last changed before, such as by becoming the head
     * (milliseconds since 1970-01-01T00:00Z).
     */
    readonly staleBefore?: number | undefined
  }) => Effect.Effect<ReadonlyArray<Head>, TaskBackendError>

  /**
   * Records something asked of the owner of a task; with a `userId` only that user's. The first writer of a key wins. A
   * `cancel` of a task that was never claimed ends it in the same commit: its log gets `cancelled`, and the next task
   * of the conversation becomes its head.
   */
  readonly putIntent: (id: TaskId, intent: Intent, options?: {
    readonly userId?: UserId | undefined
  }) => Effect.Effect<IntentRecorded, TaskNotFound | TaskBackendError>

  /** What was asked, in the order it was recorded. */
  readonly intents: (id: TaskId) => Effect.Effect<ReadonlyArray<Intent>, TaskBackendError>

  /**
   * Hints from other processes, never from this one's own writes: `log` when a log grew, `intent` when an owner was asked
   * something, `head` when a task was released. Begins with `all`, and says so again after its connection was lost; of
   * hints that come faster than they are followed, the oldest may be dropped. Ends only with the backend; `Stream.never` where there are no other processes.
   */
  readonly wakes: Stream.Stream<Wake>

  /**
   * Removes whole logs of tasks that ended before a time (milliseconds since 1970-01-01T00:00Z), at most `limit` of
   * them, oldest first, and returns how many. What only an owner needed goes with them: the message, which the
   * conversation has, and what was asked. The tasks stay.
   */
  readonly prune: (options: {
    readonly finishedBefore: number
    /** 1 to 1,000. */
    readonly limit: number
  }) => Effect.Effect<number, TaskBackendError>

  /** Removes all tasks of a conversation and their logs, unless one is active. */
  readonly deleteConversation: (options: {
    readonly conversationId: ConversationId
    readonly userId: UserId
  }) => Effect.Effect<void, ConversationBusy | TaskBackendError>
}>()("@perennial/domain/TaskBackend") {}
