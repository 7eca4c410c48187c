/** Accepts tasks: checks what is asked, stores it in one commit, and has it run. */
import type { Agents } from "@perennial/domain/Agent"
import type { ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type AgentId, ConversationId, type MessageId, messageId, NewId, TaskId, taskIdOf } from "@perennial/domain/Ids"
import * as Input from "@perennial/domain/Input"
import { type UserMessage, userText } from "@perennial/domain/Message"
import { decodeRegenerate, decodeStart, RegenerateOptions, StartInput } from "@perennial/domain/StartInput"
import type { OnBusy } from "@perennial/domain/Task"
import type { NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { InvalidInput, MessageNotFound } from "@perennial/domain/TaskError"
import { Effect, Option, Predicate, Schema } from "effect"
import { Digest } from "effect/crypto"
import type { TaskEngine } from "../../TaskEngine.ts"
import type { TaskLimits } from "../../TaskLimits.ts"
import { withSpan } from "../spans.ts"
import { lastOfUser } from "../task/readHistory.ts"
import * as Utf8 from "../utf8.ts"

export interface Options {
  readonly backend: TaskBackend["Service"]
  readonly store: ConversationStore["Service"]
  readonly agents: Agents["Service"]
  readonly engine: TaskEngine["Service"]
  readonly limits: TaskLimits
  readonly digest: Digest.Digest["Service"]
  readonly endedUnbegun: (id: TaskId) => Effect.Effect<void>
  readonly notify: (id: TaskId) => Effect.Effect<void>
}

/** What becomes a task, with what the client asked for: a repeated request is known by it. */
type Accepted =
  & { readonly message: UserMessage; readonly request: object }
  & { readonly [Field in Exclude<keyof StartInput, "message">]?: (typeof StartInput.Type)[Field] | undefined }

export const makeAccepting = (options: Options) => {
  const { agents, backend, engine, limits, store } = options

  /** A repeated or refused request needs no conversation: one that was made for it goes. */
  const discardUnused = Effect.fnUntraced(function*(key: ConversationKey) {
    const [task] = yield* backend.list({ userId: key.userId, conversationId: key.id, limit: 1 })
    if (task === undefined) yield* store.delete(key, { onlyEmpty: true })
  }, Effect.ignore({ log: "Warn" }))

  const accept = Effect.fnUntraced(function*(input: Accepted) {
    const agent = yield* agents.get(input.agentId)
    yield* engine.admission
    const userId = yield* CurrentUser
    const newId = yield* NewId
    const conversationId = input.conversationId ?? ConversationId.make(yield* newId)
    const idempotency = input.idempotencyKey === undefined
      ? undefined
      : { key: input.idempotencyKey, requestHash: yield* hashOf(options.digest, input.request) }
    const task: NewTask = {
      id: TaskId.make(yield* newId),
      conversationId,
      userId,
      agentId: agent.agentId,
      input: input.message,
      userMetadata: input.userMetadata,
      metadata: input.metadata,
      replaces: input.replaces,
      logContext: input.logContext,
      idempotency
    }
    yield* store.create({ id: conversationId, userId })
    return yield* createTask(task, input.onBusy ?? "reject")
  })

  /** Once accepted it is also submitted; a crash in between is the sweep's to mend. */
  const createTask = (task: NewTask, onBusy: OnBusy) => {
    const key = { id: task.conversationId, userId: task.userId }
    const created = backend.create(task, { onBusy, maxQueued: limits.queuedPerConversation })
    const wanted = task.idempotency === undefined
      ? created
      : Effect.tapErrorTag(created, "IdempotencyConflict", () => discardUnused(key))
    return Effect.uninterruptible(Effect.flatMap(wanted, ({ cancelled, cancelling, head, task }) => {
      const submitted = Effect.as(Option.isSome(head) ? engine.submit(head.value) : Effect.void, task)
      const accepted = task.conversationId === key.id ? submitted : Effect.tap(submitted, () => discardUnused(key))
      if (cancelled.length === 0 && cancelling.length === 0) return accepted
      return Effect.forEach(cancelled, options.endedUnbegun, { discard: true }).pipe(
        Effect.andThen(Effect.forEach(cancelling, options.notify, { discard: true })),
        Effect.andThen(accepted)
      )
    }))
  }

  /** The task of a message of the user. That one is there does not change, so that a request may be repeated. */
  const taskOfMessage = Effect.fnUntraced(function*(conversationId: ConversationId, id: MessageId) {
    const notFound = new MessageNotFound({ conversationId, messageId: id })
    const taskId = taskIdOf(id)
    if (id !== messageId(taskId, 1)) return yield* notFound
    const task = yield* Effect.catchTag(
      backend.get(taskId, { userId: yield* CurrentUser }),
      "TaskNotFound",
      () => Effect.fail(notFound)
    )
    return task.conversationId === conversationId ? task : yield* notFound
  })

  const startTask = Effect.fnUntraced(function*(given: StartInput) {
    const input = yield* decodeStart(given)
    if (input.replaces !== undefined) {
      if (input.conversationId === undefined) {
        return yield* new InvalidInput({ field: "replaces", problem: "needs the `conversationId` of the message" })
      }
      yield* taskOfMessage(input.conversationId, input.replaces)
    }
    const message = typeof input.message === "string" ? userText(input.message) : input.message
    return yield* accept({ ...input, message, request: requestOf(encodeStart(input)) })
  })

  const start = (input: StartInput) => withSpan(startTask(input), "TaskManager.start")

  /** Who answered is asked again. */
  const agentOf = (id: MessageId): Effect.Effect<AgentId | undefined> =>
    backend.get(taskIdOf(id)).pipe(Effect.map((task) => task.agentId), Effect.orElseSucceed(() => undefined))

  const regenerate = Effect.fn("TaskManager.regenerate")(
    function*(id: string, given: RegenerateOptions = {}) {
      const { conversationId } = yield* decodeConversation({ conversationId: id })
      const asked = yield* decodeRegenerate(given)
      const last = yield* lastOfUser(options, { id: conversationId, userId: yield* CurrentUser })
      if (last === undefined) return yield* new MessageNotFound({ conversationId })
      return yield* accept({
        ...asked,
        conversationId,
        message: last.message,
        userMetadata: last.metadata,
        agentId: asked.agentId ?? (yield* agentOf(last.id)),
        replaces: last.id,
        request: requestOf({ ...encodeRegenerate(asked), regenerate: conversationId })
      })
    }
  )

  return { start, regenerate }
}

const decodeConversation = Input.decoder(Schema.Struct({ conversationId: ConversationId }), "input")
const encodeStart = Schema.encodeSync(StartInput)
const encodeRegenerate = Schema.encodeSync(RegenerateOptions)

/**
 * What a repeated request must have in common with the first: all fields but the key itself, and the log context, which may
 * name the try.
 */
const requestOf = <Input extends { readonly idempotencyKey?: string; readonly logContext?: object }>(
  { idempotencyKey: _key, logContext: _logContext, ...request }: Input
): object => request

/** SHA-256 of what makes the request: two requests with one idempotency key must have the same. */
const hashOf = (digest: Digest.Digest["Service"], request: object) =>
  digest.digestHex(Digest.sha256, Utf8.encode(canonical(request)))

/** JSON with sorted keys, so that the order in which a client wrote them does not matter. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    Predicate.isObject(inner) && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => a < b ? -1 : 1))
      : inner)
