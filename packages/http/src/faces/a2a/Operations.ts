/**
 * The operations of A2A on the tasks of an agent, for both bindings.
 *
 * @since 0.1.0
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type AgentId, messageId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { type CursorAhead, StreamLost, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Schema, Stream } from "effect"
import { idOf, paged } from "../../internal/paged.ts"
import { refuse } from "./A2aErrors.ts"
import type { ListTasks, SendMessage } from "./A2aRequests.ts"
import * as A2aTask from "./A2aTask.ts"
import * as StoredTask from "./StoredTask.ts"
import * as TaskList from "./TaskList.ts"
import * as TaskStream from "./TaskStream.ts"
import * as TaskUpdates from "./TaskUpdates.ts"
import * as UserMessage from "./UserMessage.ts"

/** How many messages of a task whose log has expired are read. */
const maxRead = 1_000

/** A cancel answers after this time at the latest. It is stored. */
const cancelPatience = "10 seconds"

/** How many tasks of a page are read at once, and how long a page with whole tasks may be. */
const readConcurrency = 4
const maxWholeTasks = 20

const isTaskId = Schema.is(TaskId)

const decodeMetadata = Schema.decodeUnknownOption(Schema.Record(Schema.String, Schema.Json))

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

/** A message id that cannot be a key makes no start safe to repeat. */
const keyOf = (messageId: string): string | undefined => {
  const key = `a2a:${encodeURIComponent(messageId.toWellFormed())}`
  return key.length <= 200 ? key : undefined
}

const notWaiting = ({ id, status }: Task) =>
  refuse(
    "UNSUPPORTED_OPERATION",
    `Task "${id}" is ${status} and waits for no answer. Send the message without taskId, with the same contextId.`
  )

const notADecision = refuse(
  "INVALID_PARAMS",
  "message.parts: Answer with \"yes\" or \"no\" as text, or with data { approved, reason?, args?, toolCallId? }."
)

/**
 * A stream of a task that is about to be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Followed {
  readonly head: A2aTask.Head
  readonly events: Stream.Stream<StoredEvent, StreamLost>
  /** The seq before which the stream does not begin. */
  readonly after: number
  readonly purpose: TaskStream.Purpose
}

/**
 * The progress of a stream after each event, up to its end.
 *
 * @since 0.1.0
 * @category combinators
 */
export const follow = ({ after, events, head, purpose }: Followed) =>
  Stream.suspend(() => {
    let progress = TaskStream.unbegun
    return events.pipe(
      Stream.map((stored) => {
        const made = TaskStream.follow(head, { after, purpose }, progress, stored)
        progress = made.progress
        return { ...stored, ...made }
      }),
      Stream.takeUntil(({ isLast }) => isLast)
    )
  })

/**
 * The operations, over the tasks of the current user.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const manager = yield* TaskManager
  const store = yield* ConversationStore

  /** A page of the messages of the conversation; none if it is deleted. */
  const messagesOf = Effect.fnUntraced(function*(
    { conversationId }: Task,
    options: Parameters<ConversationStore["Service"]["messages"]>[1]
  ) {
    const key = { id: conversationId, userId: yield* CurrentUser }
    return yield* Effect.catchTag(store.messages(key, options), "ConversationNotFound", () => Effect.succeed([]))
  })

  /** The message that has started the task, if the conversation has it: the one after the one before it. */
  const startOf = Effect.fnUntraced(function*(task: Task) {
    const id = messageId(task.id, 1)
    const [before] = yield* messagesOf(task, { order: "newest", after: id, limit: 1 })
    const [message] = yield* messagesOf(task, { after: before?.id, limit: 1 })
    return message?.id === id ? message : undefined
  })

  const toHead = (task: Task, input?: A2aTask.A2aMessage): A2aTask.Head => ({
    taskId: task.id,
    contextId: task.conversationId,
    metadata: {
      ...Option.getOrElse(decodeMetadata(task.metadata?.["a2a"]), () => ({})),
      agentId: task.agentId
    },
    input
  })

  /** With the message of the user, if the conversation has it. */
  const headOf = Effect.fnUntraced(function*(task: Task) {
    const asked = yield* startOf(task)
    const ids = { taskId: task.id, contextId: task.conversationId }
    return toHead(task, asked === undefined ? undefined : UserMessage.fromStored(asked, ids))
  })

  /** A task of this agent. An id that is none is an id of no task. */
  const find = Effect.fnUntraced(function*(agentId: AgentId, id: string) {
    if (!isTaskId(id)) return yield* new TaskNotFound({ taskId: TaskId.make("unknown") })
    const task = yield* manager.get(id)
    return task.agentId === agentId ? task : yield* new TaskNotFound({ taskId: id })
  })

  const foldOf = <E>(head: A2aTask.Head, events: Stream.Stream<StoredEvent, E>) =>
    Stream.runFold(
      events,
      () => A2aTask.initial,
      (state, stored) => TaskUpdates.step(head, state, stored).state
    )

  /** The task without its log, which has expired. */
  const fromMessages = Effect.fnUntraced(function*(head: A2aTask.Head, task: Task) {
    const all = yield* messagesOf(task, { after: messageId(task.id, 1), limit: maxRead })
    const messages = all.filter(({ taskId }) => taskId === task.id)
    return yield* foldOf(head, Stream.fromIterable(StoredTask.logOf(task, messages)))
  })

  const stateOf = Effect.fnUntraced(function*(head: A2aTask.Head) {
    const { events, task } = yield* fromStart(manager.open(head.taskId))
    return yield* foldOf(head, Stream.take(events, task.lastSeq))
  })

  const now = Effect.fnUntraced(function*(task: Task) {
    const head = yield* headOf(task)
    const state = yield* Effect.catchTag(stateOf(head), "EventsExpired", () => fromMessages(head, task))
    return { head, state }
  })

  const start = Effect.fnUntraced(function*(agentId: AgentId, { message, metadata }: SendMessage) {
    const content = UserMessage.contentOf(message)
    if (content === undefined) {
      return yield* refuse("INVALID_PARAMS", "message.parts: Expected a part with text or a file.")
    }
    const { contextId } = message
    const task = yield* manager.start({
      agentId,
      conversationId: contextId === "" ? undefined : contextId,
      onBusy: "enqueue",
      message: { role: "user", content },
      userMetadata: UserMessage.toKept(message),
      metadata: metadata === undefined ? undefined : { a2a: metadata },
      idempotencyKey: keyOf(message.messageId)
    })
    const ids = { taskId: task.id, contextId: task.conversationId }
    const { messageId, metadata: kept, parts } = message
    const input: A2aTask.A2aMessage = {
      ...ids,
      messageId,
      role: "ROLE_USER",
      parts,
      ...(kept === undefined ? {} : { metadata: kept })
    }
    return { task, head: toHead(task, input), purpose: "message" as const }
  })

  /** The log is opened before the decision, so that a later question is not taken for the one that is answered. */
  const decide = Effect.fnUntraced(function*(agentId: AgentId, { message }: SendMessage, id: string) {
    const task = yield* find(agentId, id)
    const { contextId = "" } = message
    if (contextId !== "" && contextId !== task.conversationId) {
      return yield* refuse("INVALID_PARAMS", `message.contextId: Task "${id}" belongs to another context.`)
    }
    if (isTerminal(task.status) || task.waiting === undefined) return yield* notWaiting(task)
    const decisions = UserMessage.decisionsOf(message, task.waiting)
    if (decisions === undefined) return yield* notADecision
    const head = yield* headOf(task)
    const { events, task: { lastSeq: after } } = yield* fromStart(manager.open(task.id))
    for (const { decision, toolCallId } of decisions) yield* manager.decide(task.id, toolCallId, decision)
    return { head, events, after, purpose: "decision" } satisfies Followed
  })

  /** A message of the user: it starts a task, or answers the question of one. */
  const send = Effect.fnUntraced(function*(agentId: AgentId, request: SendMessage) {
    const { taskId = "" } = request.message
    if (taskId !== "") return yield* decide(agentId, request, taskId)
    const { head, purpose, task } = yield* start(agentId, request)
    // The task has started: the client sends the same message again.
    const opened = yield* Effect.catch(
      fromStart(manager.open(task.id)),
      (error) =>
        Effect.succeed({
          task,
          events: Stream.fail(new StreamLost({ taskId: task.id, after: 0, reason: error.message }))
        })
    )
    return { head, events: opened.events, after: opened.task.lastSeq, purpose } satisfies Followed
  })

  /** The task when it has ended or waits for a person. */
  const settled = Effect.fnUntraced(function*(followed: Followed) {
    const last = yield* Stream.runLast(follow(followed))
    return last._tag === "Some" ? last.value.progress.state : A2aTask.initial
  })

  const subscribe = Effect.fnUntraced(function*(agentId: AgentId, id: string) {
    const task = yield* find(agentId, id)
    if (isTerminal(task.status)) {
      return yield* refuse("UNSUPPORTED_OPERATION", `Task "${id}" has ended: get the task in place of a subscription.`)
    }
    const head = yield* headOf(task)
    const { events, task: { lastSeq: after } } = yield* fromStart(manager.open(task.id))
    return { head, events, after, purpose: "subscription" } satisfies Followed
  })

  const get = Effect.fnUntraced(function*(agentId: AgentId, id: string) {
    return yield* now(yield* find(agentId, id))
  })

  const cancel = Effect.fnUntraced(function*(agentId: AgentId, id: string) {
    const task = yield* find(agentId, id)
    // Checked there: a cancel has no reason that could be too long.
    const request = Effect.catchTag(manager.cancel(task.id), "InvalidInput", Effect.die)
    if (!isTerminal(task.status)) yield* Effect.timeoutOption(request, cancelPatience)
    const made = yield* now(yield* manager.get(task.id))
    const { state } = made.state.status
    if (state !== "TASK_STATE_COMPLETED" && state !== "TASK_STATE_FAILED") return made
    return yield* refuse("TASK_NOT_CANCELABLE", `Task "${id}" has ended, with the state ${state}.`)
  })

  /** The task without what its log has. */
  const brief = (task: Task): A2aTask.Json => {
    const status = { state: TaskList.stateOf(task), at: task.updatedAt.epochMilliseconds, message: undefined }
    return A2aTask.toObject(toHead(task), { ...A2aTask.initial, status, usage: task.usage, title: task.title }, {
      artifacts: false
    })
  }

  const list = Effect.fnUntraced(function*(agentId: AgentId, request: ListTasks) {
    const { historyLength = 0, includeArtifacts: artifacts = false } = request
    const isWhole = artifacts || historyLength > 0
    const selection = yield* TaskList.select(request, agentId)
    const { keeps, options, total } = selection
    if (options === undefined) return { tasks: [], nextPageToken: "", pageSize: request.pageSize ?? 50, totalSize: 0 }
    const limit = isWhole ? Math.min(options.limit, maxWholeTasks) : options.limit
    const { items, next = "" } = paged(yield* manager.list({ ...options, limit: limit + 1 }), limit, idOf)
    const { conversationId } = options
    const totalSize = total(yield* manager.counts({ agentId, conversationId }))
    const tasks = yield* Effect.forEach(
      items.filter(keeps),
      (task) =>
        isWhole
          ? Effect.map(now(task), ({ head, state }) => A2aTask.toObject(head, state, { artifacts, historyLength }))
          : Effect.succeed(brief(task)),
      { concurrency: readConcurrency }
    )
    return { tasks, nextPageToken: next, pageSize: limit, totalSize }
  })

  return { send, settled, subscribe, get, cancel, list, find }
})
