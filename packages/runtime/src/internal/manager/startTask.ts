/** Starts tasks: checks the request, stores conversation and task, and has the task run. */
import { Agents } from "@perennial/domain/Agent"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import {
  type AgentId,
  ConversationId,
  isChildConversation,
  type MessageId,
  messageId,
  NewId,
  TaskId,
  taskIdOf
} from "@perennial/domain/Ids"
import * as Input from "@perennial/domain/Input"
import { preview, type UserMessage, userText } from "@perennial/domain/Message"
import { decodeRegenerate, decodeStart, RegenerateOptions, StartInput } from "@perennial/domain/StartInput"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { InvalidInput, MessageNotFound } from "@perennial/domain/TaskError"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Effect, Option, Schema } from "effect"
import { Digest } from "effect/crypto"
import { TaskEngine } from "../../TaskEngine.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { lastOfUser } from "../task/readHistory.ts"
import { withSpan } from "../telemetry/spans.ts"
import { makeNotices } from "./notices.ts"
import { requestHash } from "./requestHash.ts"

const encodeStart = Schema.encodeSync(StartInput)
const encodeRegenerate = Schema.encodeSync(RegenerateOptions)
const decodeConversation = Input.decoder(Schema.Struct({ conversationId: ConversationId }), "input")

/** What `start` and `regenerate` have in common. */
interface Request extends Omit<typeof StartInput.Type, "message"> {
  readonly message: UserMessage
  /** The request as the client made it, encoded: what an idempotency key stands for. */
  readonly encoded: Record<string, unknown>
}

export const makeStartTask = Effect.gen(function*() {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const digest = yield* Digest.Digest
  const engine = yield* TaskEngine
  const limits = yield* CurrentTaskLimits
  const notices = yield* makeNotices
  const store = yield* ConversationStore

  /** Removes a conversation that was created for a request which then had no use for it. */
  const discardUnused = Effect.fnUntraced(function*(key: ConversationKey) {
    const isUsed = Effect.map(
      backend.list({ userId: key.userId, conversationId: key.id, limit: 1 }),
      (tasks) => tasks.length > 0
    )
    if (yield* isUsed) return
    yield* store.delete(key, { onlyEmpty: true })
    // A task that was accepted meanwhile has no message yet.
    if (yield* isUsed) yield* store.create(key)
  }, Effect.ignore({ log: "Warn" }))

  /** Stores a task and submits it. If this process dies in between, a sweep submits it. */
  const create = Effect.fnUntraced(function*(newTask: NewTask, { onBusy = "reject" }: Request) {
    const key = { id: newTask.conversationId, userId: newTask.userId }
    const { cancelled, cancelling, head, task } = yield* backend.create(newTask, {
      onBusy,
      maxQueued: limits.queuedPerConversation,
      maxActive: Number.isFinite(limits.activePerUser) ? limits.activePerUser : undefined
    }).pipe(Effect.tapErrorTag(["IdempotencyConflict", "TooManyActiveTasks"], () => discardUnused(key)))
    yield* notices.tasksChanged(newTask.userId)
    yield* Effect.forEach(cancelled, notices.endedUnbegun, { discard: true })
    yield* Effect.forEach(cancelling, notices.intentRecorded, { discard: true })
    if (Option.isSome(head)) yield* engine.submit(head.value)
    // A repeated request: the task is in another conversation.
    if (task.conversationId !== key.id) yield* discardUnused(key)
    return task
  }, Effect.uninterruptible)

  const accept = Effect.fnUntraced(function*(request: Request) {
    if (request.conversationId !== undefined && isChildConversation(request.conversationId)) {
      return yield* new InvalidInput({ field: "conversationId", problem: "belongs to a child task" })
    }
    const { agentId } = yield* agents.get(request.agentId)
    yield* engine.admission
    const userId = yield* CurrentUser
    const newId = yield* NewId
    const conversationId = request.conversationId ?? ConversationId.make(yield* newId)
    const task: NewTask = {
      id: TaskId.make(yield* newId),
      conversationId,
      userId,
      agentId,
      input: request.message,
      spec: TaskSpec.fromStart({ ...request, preview: preview(request.message) }),
      idempotency: request.idempotencyKey === undefined
        ? undefined
        : { key: request.idempotencyKey, requestHash: yield* requestHash(digest, request.encoded) }
    }
    yield* store.create({ id: conversationId, userId })
    return yield* create(task, request)
  })

  /** Fails unless the message was the user's own in this conversation. It need not be there any more: a start is repeatable. */
  const checkReplaced = Effect.fnUntraced(function*(conversationId: ConversationId | undefined, id: MessageId) {
    if (conversationId === undefined) {
      return yield* new InvalidInput({ field: "replaces", problem: "needs the `conversationId` of the message" })
    }
    const notFound = new MessageNotFound({ conversationId, messageId: id })
    const taskId = taskIdOf(id)
    if (id !== messageId(taskId, 1)) return yield* notFound
    const task = yield* backend.get(taskId, { userId: yield* CurrentUser }).pipe(
      Effect.catchTag("TaskNotFound", () => Effect.fail(notFound))
    )
    if (task.conversationId !== conversationId) return yield* notFound
  })

  const start = Effect.fnUntraced(function*(given: StartInput) {
    const input = yield* decodeStart(given)
    if (input.replaces !== undefined) yield* checkReplaced(input.conversationId, input.replaces)
    const message = typeof input.message === "string" ? userText(input.message) : input.message
    return yield* accept({ ...input, message, encoded: encodeStart(input) })
  })

  const agentOf = (id: MessageId): Effect.Effect<AgentId | undefined> =>
    backend.get(taskIdOf(id)).pipe(Effect.map((task) => task.agentId), Effect.orElseSucceed(() => undefined))

  const regenerate = Effect.fn("TaskManager.regenerate")(function*(id: string, given: RegenerateOptions = {}) {
    const { conversationId } = yield* decodeConversation({ conversationId: id })
    const options = yield* decodeRegenerate(given)
    const last = yield* lastOfUser({ backend, store }, { id: conversationId, userId: yield* CurrentUser })
    if (last === undefined) return yield* new MessageNotFound({ conversationId })
    const agentId = options.agentId ?? (yield* agentOf(last.id))
    return yield* accept({
      ...options,
      ...(agentId && { agentId }),
      ...(last.metadata && { userMetadata: last.metadata }),
      conversationId,
      message: last.message,
      replaces: last.id,
      encoded: { ...encodeRegenerate(options), regenerate: conversationId }
    })
  })

  return { start: (input: StartInput) => withSpan(start(input), "TaskManager.start"), regenerate }
})
