/**
 * The child tasks of a task that this process executes: names them, starts them, and waits for their ends.
 */
import { childConversationId, childTaskId, depthOf, maxChildNumber, type TaskId } from "@perennial/domain/Ids"
import { preview, text, userText } from "@perennial/domain/Message"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { Claim, Head } from "@perennial/domain/TaskBackend"
import type {
  ConversationBusy,
  ConversationNotFound,
  ConversationStoreError,
  IdempotencyConflict,
  QueueFull,
  StreamLost,
  TaskBackendError,
  TaskNotFound,
  TooManyActiveTasks
} from "@perennial/domain/TaskError"
import * as TaskResult from "@perennial/domain/TaskResult"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Duration, Effect, Option, Result, Stream } from "effect"
import type { ChildOutcome, ChildTask, ChildTasks } from "../../ChildTasks.ts"
import type { TaskPlace } from "../../TaskPlace.ts"
import type { OwnedLog } from "../log/ownedLog.ts"
import type { ExecutionHost } from "./executionHost.ts"
import type { StopSignal } from "./stopSignal.ts"

/** The parent, as its child tasks need it. */
interface Parent {
  readonly claim: Claim
  readonly log: OwnedLog
  readonly place: TaskPlace
  readonly stop: StopSignal
  /** How long the parent may take from its first claim. */
  readonly timeout: Duration.Duration
}

type StoreFailure =
  | TaskBackendError
  | ConversationStoreError
  | StreamLost
  | ConversationBusy
  | ConversationNotFound
  | IdempotencyConflict
  | QueueFull
  | TooManyActiveTasks

/** Nobody else starts tasks in the conversation of a child, so that only a failing store refuses one. */
type Failure = StoreFailure | TaskNotFound

const numberOf = (child: TaskId): number => Number(child.slice(child.lastIndexOf(".") + 1))

export class OwnedChildTasks implements ChildTasks {
  readonly #host: ExecutionHost
  readonly #parent: Parent
  readonly #submit: (head: Head) => Effect.Effect<void>
  /** Children of calls whose `tool_call` event is not stored yet. */
  readonly #reserved = new Map<string, TaskId>()

  constructor(host: ExecutionHost, parent: Parent, submit: (head: Head) => Effect.Effect<void>) {
    this.#host = host
    this.#parent = parent
    this.#submit = submit
  }

  readonly reserve: ChildTasks["reserve"] = (toolCallId, agentId) => {
    const { claim, log } = this.#parent
    const { agentIds, limits } = this.#host
    const named = log.children.get(toolCallId)
    if (named !== undefined) return Result.succeed({ taskId: named.taskId, isNamed: true })
    if (!agentIds.includes(agentId)) return Result.fail(`There is no agent "${agentId}".`)
    if (depthOf(claim.taskId) >= limits.childDepth) {
      return Result.fail(
        `A task at depth ${
          depthOf(claim.taskId)
        } starts no further tasks: the limit is ${limits.childDepth}. Do the work yourself.`
      )
    }
    let last = 0
    for (const { taskId } of log.children.values()) last = Math.max(last, numberOf(taskId))
    for (const taskId of this.#reserved.values()) last = Math.max(last, numberOf(taskId))
    const most = Math.min(limits.childrenPerTask, maxChildNumber)
    if (last >= most) {
      return Result.fail(
        `The task has started ${most} ${
          most === 1 ? "task" : "tasks"
        }, and may start no more. Do the rest of the work yourself.`
      )
    }
    const taskId = childTaskId(claim.taskId, last + 1)
    this.#reserved.set(toolCallId, taskId)
    return Result.succeed({ taskId, isNamed: false })
  }

  readonly run: ChildTasks["run"] = (child) =>
    Effect.gen({ self: this }, function*() {
      const named = this.#parent.log.children.get(child.toolCallId)
      if (named === undefined) {
        return yield* Effect.die(new Error(`No event names the child task of call ${child.toolCallId}.`))
      }
      this.#reserved.delete(child.toolCallId)
      const task = yield* this.#start(child, named)
      const ended = isTerminal(task.status)
        ? Effect.void
        : Stream.runDrain(this.#host.readers.read(task.id, task.lastSeq))
      yield* this.#parent.place.whileWaiting(ended)
      return yield* this.#outcome(task.id)
    }).pipe(
      Effect.catchTag("TaskNotFound", () =>
        Effect.succeed<ChildOutcome>({ status: "error", answer: "The child task was deleted." })),
      Effect.catch((error) =>
        this.#storeFailed(error)
      )
    )

  /** Repeatable: a child that was started before is found by its id (P1). */
  #start(
    child: ChildTask,
    { seq, taskId }: { readonly taskId: TaskId; readonly seq: number }
  ): Effect.Effect<Task, StoreFailure> {
    const { backend, readers, store } = this.#host
    const { claim } = this.#parent
    const { userId } = claim
    const conversationId = childConversationId(taskId)
    const input = userText(child.message)
    const spec = TaskSpec.fromStart({
      metadata: claim.spec.metadata,
      logContext: claim.spec.logContext,
      preview: preview(input),
      parent: { taskId: claim.taskId, toolCallId: child.toolCallId, seq },
      deadline: this.#deadline(child.timeout),
      maxTotalTokens: child.maxTotalTokens
    })
    return Effect.gen({ self: this }, function*() {
      yield* store.create({ id: conversationId, userId })
      const { created, head, task } = yield* backend.create(
        { id: taskId, conversationId, userId, agentId: child.agentId, input, spec },
        { onBusy: "reject", maxQueued: 0 }
      )
      if (created) yield* readers.tasksChanged(userId)
      if (Option.isSome(head)) yield* this.#submit(head.value)
      return task
    }).pipe(Effect.uninterruptible)
  }

  /** The end of the child at the latest, by the store's clock. Undefined if there is none. */
  #deadline(timeout: Duration.Duration = Duration.infinity): number | undefined {
    const { claim, timeout: parents } = this.#parent
    const at = Math.min(claim.startedAt + Duration.toMillis(parents), this.#host.now() + Duration.toMillis(timeout))
    return Number.isFinite(at) ? at : undefined
  }

  #outcome(taskId: TaskId): Effect.Effect<ChildOutcome, Failure> {
    const { backend } = this.#host
    return Effect.gen(function*() {
      const task = yield* backend.get(taskId)
      const usage = task.usage === undefined ? undefined : { usage: task.usage }
      const failed = (why: string): ChildOutcome => ({ status: "error", answer: why, ...usage })
      if (task.status === "error") return failed(`The task failed. ${task.error?.detail ?? ""}`.trim())
      if (task.status !== "completed") return failed("The task was cancelled.")
      const read = TaskResult.read(
        task,
        (page) =>
          Effect.map(backend.events(taskId, { ...page, maxBytes: Number.MAX_SAFE_INTEGER }), ({ events }) => events)
      )
      return yield* read.pipe(
        Effect.map(({ message, output }): ChildOutcome => ({
          status: "completed",
          answer: output === undefined ? message === undefined ? "" : text(message) : output,
          ...usage
        })),
        Effect.catchTag(
          ["EventsExpired", "CursorAhead"],
          () => Effect.succeed(failed("The task has completed, but its answer is not kept any more."))
        )
      )
    })
  }

  /** A failure of a store is never the result of a call: the task stops here, and another attempt waits for the same child. */
  #storeFailed(error: StoreFailure): Effect.Effect<never> {
    return Effect.andThen(
      Effect.logError("A child task could not be started or followed; the task stops here as if crashed.", error),
      Effect.suspend(() => {
        this.#parent.stop.stop("store")
        // The agent is interrupted.
        return Effect.never
      })
    )
  }
}
