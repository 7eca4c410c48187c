/**
 * The port to the store of tasks, their event logs, owners and intents: one port, because P2, P4 and P9 need one commit.
 *
 * @since 0.1.0
 */
import { type Array, Context, type Duration, type Effect, type Option, type Schema, type Stream } from "effect"
import type { EndedTask } from "./EndedTask.ts"
import type { AgentId, ClaimId, ConversationId, RunnerId, TaskId, UserId } from "./Ids.ts"
import type { Intent } from "./Intent.ts"
import type { UserMessage } from "./Message.ts"
import type { OwnerLoss, ReleaseOptions } from "./OwnerLoss.ts"
import type { RunnerAbout } from "./Runner.ts"
import type { OnBusy, RemovedTasks, Task, TaskCounts } from "./Task.ts"
import type {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound,
  TooManyActiveTasks
} from "./TaskError.ts"
import type { StoredEvent } from "./TaskEvent.ts"
import type { TaskFilter, TaskListing } from "./TaskFilter.ts"
import type { TaskRecords } from "./TaskRecords.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import type { TaskSummary } from "./TaskSummary.ts"
import type { Wake } from "./Wake.ts"

/**
 * A task that is to be accepted.
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
  /** The values that the store only carries. */
  readonly spec: TaskSpec
  /** The key is unique per user; the hash is of the request that brought the key. */
  readonly idempotency?: { readonly key: string; readonly requestHash: string } | undefined
}

/**
 * The one active task of a conversation that may run, with the fencing token that it had when the head was read.
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
 * The answer of `create`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created {
  readonly task: Task
  /** False when the store already had the task (same id or same idempotency key): then nothing was changed. */
  readonly created: boolean
  /** Set when the task may run at once. */
  readonly head: Option.Option<Head>
  /** With `interrupt`: tasks that had not begun and ended `cancelled` in this commit. */
  readonly cancelled: ReadonlyArray<TaskId>
  /** With `interrupt`: begun tasks for which a cancel intent is recorded. */
  readonly cancelling: ReadonlyArray<TaskId>
}

/**
 * The right to execute a task and to write to its log, with the data that an execution needs.
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
  /** How the task lost its last owner; absent if it never had one, or if the store does not know. */
  readonly lost?: OwnerLoss | undefined
  readonly lastSeq: number
  readonly input: UserMessage
  readonly spec: TaskSpec
  /** What of the stored task cannot be read. Its value here is empty, and the owner ends the task (P8). */
  readonly unreadable?: "input" | "spec" | undefined
  /** By the store's clock, like all times here: milliseconds since 1970-01-01T00:00Z. */
  readonly createdAt: number
  /** The time of the first claim of the task. */
  readonly startedAt: number
  /**
   * The time of this answer. A deadline is `startedAt` plus a duration: a process compares it with `now` plus the time that
   * it has measured since, never with a clock of its own.
   */
  readonly now: number
  /** How many intents are recorded. */
  readonly intents: number
}

/**
 * Identifies a claim in a write.
 *
 * @since 0.1.0
 * @category models
 */
export type Fence = Pick<Claim, "taskId" | "token">

/**
 * Identifies a claim in a write to the log. Other processes get hints about the user, if it is given.
 *
 * @since 0.1.0
 * @category models
 */
export type Author = Fence & Partial<Pick<Claim, "userId">>

/**
 * Whether an event shows progress of its task: a complete message, or the result of a call that ended. The partial messages
 * and interrupted results that settle the log of a dead owner are no progress.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isProgress = ({ event }: StoredEvent): boolean =>
  event.type === "message" ? event.partial !== true : event.type === "tool_result" && event.status !== "interrupted"

/**
 * The answer of `putIntent`.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntentRecorded {
  /** False when the key already had a value (the first writer wins) or the task has ended. */
  readonly written: boolean
  /** The recorded value; none when the task ended without one. */
  readonly value: Option.Option<Schema.Json>
  /** The task after this commit. */
  readonly task: Task
  /** Set when this commit ended a task that had never begun, and the next task of the conversation may run. */
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
 * Stores tasks. An implementation passes `TaskBackendContract`, which has a test for every sentence here.
 *
 * **Details**
 *
 * Every method is atomic and durable when it returns, under any concurrency, on any number of processes. A store retries
 * transient failures itself, within a time limit, and resolves a lost reply by reading the row. Methods fail only with the
 * errors that they declare.
 *
 * Every time that a store keeps or compares is by the clock of the store. A process passes durations.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskBackend extends Context.Service<
  TaskBackend,
  TaskRecords["Service"] & {
    /** How long a group commit waits for more events; zero where commits are cheap, or concurrent ones share their cost. */
    readonly commitWindow: Duration.Duration

    /**
     * Accepts a task with the user's message and its `ack` event (P1), at most one active per conversation unless
     * `onBusy` says otherwise (P2).
     *
     * Checks in this order: the idempotency key; the task id (a lost reply); the user of the conversation
     * (`ConversationNotFound` when it is another user's); whether the conversation is busy; the active tasks of the user.
     * `interrupt` ends the tasks that have not begun and records a cancel intent for the task that has, in the same commit.
     */
    readonly create: (task: NewTask, options: {
      readonly onBusy: OnBusy
      /** How many tasks may wait behind the head, at least 0. */
      readonly maxQueued: number
      /** How many active tasks the user may have with this one, at least 1. Tasks that this call ends do not count. */
      readonly maxActive?: number | undefined
    }) => Effect.Effect<
      Created,
      ConversationBusy | QueueFull | TooManyActiveTasks | IdempotencyConflict | ConversationNotFound | TaskBackendError
    >

    /** Reads a task; with a `userId` only that user's. */
    readonly get: (
      id: TaskId,
      options?: { readonly userId?: UserId | undefined }
    ) => Effect.Effect<Task, TaskNotFound | TaskBackendError>

    /** A page of a user's tasks, newest or oldest first by id. The next page begins at the last id of the page before. */
    readonly list: (options: TaskListing) => Effect.Effect<ReadonlyArray<Task>, TaskBackendError>

    /**
     * The task of a user's conversation that was accepted next after another task of it, or first. None if there is no such task
     * yet. Fails if the conversation does not have the other task. In the order of acceptance every task of a conversation comes
     * after those that a reader may have got before (P3).
     */
    readonly nextTask: (options: {
      readonly conversationId: ConversationId
      readonly userId: UserId
      readonly after?: TaskId | undefined
    }) => Effect.Effect<Option.Option<Task>, TaskNotFound | TaskBackendError>

    /** How many of a user's tasks there are, each number at most `Task.maxCount`. */
    readonly counts: (
      options: Pick<TaskFilter, "userId" | "conversationId" | "agentId" | "withoutChildren">
    ) => Effect.Effect<TaskCounts, TaskBackendError>

    /**
     * The active head with this id, with its present token: for an engine that was told to execute the task again. None when
     * there is no such task, it has ended, or it waits behind another task. A head that has an owner is returned, too: whether
     * the owner is alive is decided by `claim`.
     */
    readonly head: (id: TaskId) => Effect.Effect<Option.Option<Head>, TaskBackendError>

    /**
     * Makes a runner the owner of a head. Wins only if the task is an active head, its token is still `expectedToken`, and it
     * has no owner or its owner's lease has run out; counts a failure in the latter case. A win increases token and attempt
     * by one.
     *
     * `claimId` is new for each execution. The same call again, after a lost reply, returns the claim that it won, as long as
     * nobody released, took or ended the task since. Another claim id never gets that claim: not even the runner that owns
     * the task and gave up its execution (P9, P10). A task whose message or spec the store cannot read is claimed, too.
     */
    readonly claim: (id: TaskId, options: {
      readonly runnerId: RunnerId
      readonly claimId: ClaimId
      readonly expectedToken: number
    }) => Effect.Effect<Option.Option<Claim>, TaskBackendError>

    /**
     * Appends to the logs of many tasks in one commit. An entry whose token is not the task's, or whose first seq is not
     * `lastSeq + 1`, is not `ok` and changes nothing; the other entries are appended (P9). An event that shows progress
     * (`isProgress`) sets `failures` to 0. A batch contains a claim at most once. `intents` is the number of recorded intents
     * of an entry that is `ok`. A `summary` replaces the summary that the record of the task shows.
     */
    readonly append: (
      batch: Array.NonEmptyReadonlyArray<{
        readonly claim: Author
        readonly events: Array.NonEmptyReadonlyArray<StoredEvent>
        readonly summary?: TaskSummary | undefined
      }>
    ) => Effect.Effect<ReadonlyArray<{ readonly ok: boolean; readonly intents: number }>, TaskBackendError>

    /**
     * Ends a task, in one commit (P4): appends the last events, the last of them terminal; sets the terminal status and, with
     * an `error` event, the task's `error`; makes the next task of the conversation the head, which changes the `updatedAt` of
     * that task. Returns the new head.
     */
    readonly finish: (
      claim: Author,
      events: Array.NonEmptyReadonlyArray<StoredEvent>
    ) => Effect.Effect<Option.Option<Head>, LeaseLost | TaskBackendError>

    /** Removes the owner of a task that has not ended. Counts no failure. Does nothing when the claim is no longer valid. */
    readonly release: (claim: Fence, options?: ReleaseOptions) => Effect.Effect<void, TaskBackendError>

    /**
     * Reads the log after a seq: at most `limit` events that take, as the store keeps them, at most `maxBytes`; but always one.
     *
     * Fails with `EventsExpired` when the log was pruned and with `CursorAhead` when `after` is beyond its end. An event that
     * the store cannot read keeps its place, as `EventPayload.makeUnreadable` (P3).
     */
    readonly events: (id: TaskId, options: {
      readonly after: number
      /** 1 to 1,000. */
      readonly limit: number
      readonly maxBytes: number
    }) => Effect.Effect<EventPage, TaskNotFound | EventsExpired | CursorAhead | TaskBackendError>

    /** The newest seq of each of these tasks, at most 1,000. Unknown tasks are left out. */
    readonly lastSeqs: (
      ids: ReadonlyArray<TaskId>
    ) => Effect.Effect<ReadonlyArray<{ readonly taskId: TaskId; readonly lastSeq: number }>, TaskBackendError>

    /** The runner that owns each of these tasks, at most 1,000, whether it is alive or not. Tasks without one are left out. */
    readonly owners: (
      ids: ReadonlyArray<TaskId>
    ) => Effect.Effect<ReadonlyArray<{ readonly taskId: TaskId; readonly runnerId: RunnerId }>, TaskBackendError>

    /**
     * Renews the lease of a runner for `ttl`, even a lease that has run out, and returns the tasks that the runner owns. A ttl
     * of zero ends the lease at once. Sets `failures` to 0 for tasks that the runner has owned for more than `OwnerLoss.aliveMillis`.
     * `runners` shows what the runner says about itself.
     */
    readonly heartbeat: (runnerId: RunnerId, ttl: Duration.Duration, about?: RunnerAbout) => Effect.Effect<{
      /** The time of this answer by the store's clock: milliseconds since 1970-01-01T00:00Z. */
      readonly now: number
      readonly owned: ReadonlyArray<Fence & { readonly intents: number }>
    }, TaskBackendError>

    /**
     * Active heads that nobody owns: never claimed, released, or with an owner whose lease has run out; in rounds, which are
     * fair between users (docs/backends.md, "Rounds"), and in a round oldest first. With `agentIds`: only heads of these
     * agents, and heads of other agents that any process may end, because a cancel is recorded or the head is stale. The
     * heads that are left out do not count for `limit`.
     */
    readonly unowned: (options: {
      /** 1 to 1,000. */
      readonly limit: number
      readonly agentIds?: ReadonlyArray<AgentId> | undefined
      /**
       * A head is stale when its first claim was at least this long ago; if it was never claimed, when its last change was,
       * such as becoming the head. Without `staleFor` no head is stale.
       */
      readonly staleFor?: Duration.Duration | undefined
    }) => Effect.Effect<ReadonlyArray<Head>, TaskBackendError>

    /**
     * Records an intent for the owner of a task; with a `userId` only of that user's task. The first writer of a key wins. A
     * `cancel` of a task that was never claimed ends it in the same commit: its log gets `cancelled`, and the next task
     * of the conversation becomes the head.
     */
    readonly putIntent: (id: TaskId, intent: Intent, options?: {
      readonly userId?: UserId | undefined
    }) => Effect.Effect<IntentRecorded, TaskNotFound | TaskBackendError>

    /** The intents of a task, in the order in which they were recorded. A value that the store cannot read is null. */
    readonly intents: (id: TaskId) => Effect.Effect<ReadonlyArray<Intent>, TaskBackendError>

    /**
     * Hints about the writes of other processes, never about the writes of this process (`Wake` has the kinds). The first
     * hint is `all`, and so is the first after a lost connection. When hints come faster than they are read, the oldest may be
     * dropped. The stream ends only with the backend; a store for one process has `Stream.never`.
     */
    readonly wakes: Stream.Stream<Wake>

    /**
     * Terminal events of all users, in the order in which the tasks ended: for webhooks and exports. Pages are read by the
     * cursor of their last entry; 0 reads from the beginning.
     *
     * A reader that reads on after the last cursor that it got sees every end exactly once, under any concurrency: the order
     * never changes, and an end never appears before a cursor that any reader already got. An end has appeared at the latest
     * in the first read that begins after the call that ended the task has returned. Ends by `create` with `interrupt` and by
     * the cancel of a waiting task appear, too. Tasks of a deleted conversation disappear, and their cursors stay valid.
     */
    readonly ended: (options: {
      readonly after: number
      /** 1 to 1,000. */
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<EndedTask>, TaskBackendError>

    /**
     * Removes whole logs of tasks that ended at least `finishedFor` ago, the oldest first, at most `limit`, and returns how
     * many. Data that only an owner needs are removed together with a log: the user's message, which the conversation has;
     * the intents; the owner's fields of the spec. The tasks stay, and `ended` still has them.
     */
    readonly prune: (options: {
      readonly finishedFor: Duration.Duration
      /** 1 to 1,000. */
      readonly limit: number
    }) => Effect.Effect<number, TaskBackendError>

    /** Removes all tasks of a conversation and their logs, unless a task is active. Returns how much it has removed. */
    readonly deleteConversation: (options: {
      readonly conversationId: ConversationId
      readonly userId: UserId
    }) => Effect.Effect<RemovedTasks, ConversationBusy | TaskBackendError>

    /** Erases what the store keeps of a user without conversations: hints for other processes, deleted texts in its files. */
    readonly forgetUser: (userId: UserId) => Effect.Effect<void, TaskBackendError>
  }
>()("@perennial/domain/TaskBackend") {}
