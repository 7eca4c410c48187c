/**
 * The face for the AI SDK (`ai` 7): `useChat` with its usual transport, and `WorkflowChatTransport` of `@ai-sdk/workflow`.
 *
 * A chat is a conversation, and an answer is a task: its id is the id of the message. `docs/faces/ai-sdk.md` says what a client
 * has to know.
 *
 * @since 0.1.0
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type ConversationId, type MessageId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { type CursorAhead, InvalidInput, StreamLost } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { type StartError, TaskManager } from "@perennial/domain/TaskManager"
import { Clock, DateTime, Effect, Layer, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import * as FramedWire from "../../internal/framed.ts"
import { withProblems } from "../../internal/withProblems.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import * as Sse from "../../Sse.ts"
import { AiSdkApi, type ChatRequest, type UiMessage } from "./AiSdkApi.ts"
import type { Chunk } from "./UiMessageStream.ts"
import * as UiResponse from "./UiResponse.ts"
import { decisionsOf, toUserContent } from "./UserContent.ts"

/** How long after its end an answer is replayed to a client that names no chunk. */
const replayMillis = 60_000

/** How many messages of a conversation are searched for the one that a client sends again. */
const maxSearched = 100

/** How many answers of the client are looked up to find their conversation. */
const maxAnswers = 5

/** A stop answers after this time at the latest. The cancel is stored. */
const stopPatience = "10 seconds"

const noContent = HttpServerResponse.empty({ status: 204 })
const toFrame = (chunk: Chunk): string => `data: ${JSON.stringify(chunk)}\n\n`
const done = "data: [DONE]\n\n"
const wire = FramedWire.framed({ "x-vercel-ai-ui-message-stream": "v1" })
const isTaskId = Schema.is(TaskId)

const invalid = (problem: string) => new InvalidInput({ field: "messages", problem })

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

/** The stored events of a task as they are now. */
const storedOnly = ({ events, task }: Effect.Success<ReturnType<TaskManager["Service"]["open"]>>) =>
  Stream.take(events, task.lastSeq)

const layerHandlers = HttpApiBuilder.group(
  AiSdkApi,
  "aiSdk",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const store = yield* ConversationStore
    const streams = yield* Sse.EventStreams
    const admit = admitted(streams)

    const find = (id: string) =>
      isTaskId(id)
        ? Effect.catchTag(manager.get(id), "TaskNotFound", () => Effect.undefined)
        : Effect.undefined

    /** The task that a reader of a chat wants to see: the one that runs, or else the newest. */
    const currentOf = Effect.fnUntraced(function*(conversationId: ConversationId) {
      const [head] = yield* manager.list({
        conversationId,
        status: ["queued", "running"],
        order: "oldest",
        limit: 1
      })
      if (head !== undefined) return head
      const [newest] = yield* manager.list({ conversationId, limit: 1 })
      return newest
    })

    /** What a response has so far. */
    const replay = Effect.fnUntraced(function*(range: UiResponse.Range) {
      const opened = yield* fromStart(manager.open(range.messageId))
      const response = yield* Stream.runFold(
        storedOnly(opened),
        () => UiResponse.initial,
        (response, stored) => response.ended ? response : UiResponse.step(response, stored, range).response
      )
      return { response, task: opened.task }
    })

    /** Whether a response of the task begins after this event. */
    const beginsAt = Effect.fnUntraced(function*(messageId: TaskId, after: number) {
      if (after === 0) return true
      const { events, task } = yield* fromStart(manager.open(messageId))
      const { pausedAt } = yield* Stream.runFold(
        Stream.take(events, Math.min(after, task.lastSeq)),
        () => UiResponse.initial,
        (response, stored) => UiResponse.step(response, stored, { messageId, after }).response
      )
      return pausedAt === after
    }, Effect.catchTag("TaskNotFound", () => Effect.succeed(false)))

    const framed = (events: Stream.Stream<StoredEvent, StreamLost>, range: UiResponse.Range, skip: number) =>
      Stream.suspend(() => {
        let response = UiResponse.initial
        return events.pipe(
          Stream.map((stored): FramedWire.Framed & { readonly isLast: boolean } => {
            const before = response.count
            const made = UiResponse.step(response, stored, range)
            response = made.response
            const chunks = made.chunks.slice(Math.max(0, skip - before))
            const isLast = response.ended
            return { ...stored, isLast, frames: chunks.map(toFrame).join("") + (isLast ? done : "") }
          }),
          // A stream has its events in batches: the last event of a batch may have ended the response.
          Stream.takeUntil(({ isLast }) => isLast),
          Stream.filter(({ frames }) => frames !== "")
        )
      })

    /** `begun`: the task has started, and the answer must have its id, so that the client can resume. */
    const stream = Effect.fnUntraced(function*(
      range: UiResponse.Range,
      { begun = false, headers, skip = 0 }: {
        readonly begun?: boolean
        readonly skip?: number
        readonly headers?: Readonly<Record<string, string>>
      } = {}
    ) {
      const { messageId: taskId } = range
      const events = yield* Effect.catch(
        fromStart(manager.events(taskId)),
        (error) =>
          begun
            ? Effect.succeed(Stream.fail(new StreamLost({ taskId, after: 0, reason: error.message })))
            : Effect.fail(error)
      )
      const userId = yield* CurrentUser
      const principal = yield* CurrentPrincipal
      return streams.response(framed(events, range, skip), {
        wire,
        headers: { "x-workflow-run-id": UiResponse.idOf(range), ...headers },
        userId,
        expiresAt: principal?.expiresAt
      })
    })

    /** The conversation of the newest answer that the client has from here. */
    const conversationOf = Effect.fnUntraced(function*({ id, messages }: ChatRequest) {
      if (id !== undefined) return id
      const answers = messages.filter(({ role }) => role === "assistant").slice(-maxAnswers)
      for (const { id = "" } of answers.toReversed()) {
        const task = yield* find(id)
        if (task !== undefined) return task.conversationId
      }
      return undefined
    })

    /** The stored message with the id that the client gave to it. */
    const storedMessage = Effect.fnUntraced(function*(id: ConversationId, messageId: string) {
      const key = { id, userId: yield* CurrentUser }
      const messages = yield* store.messages(key, { order: "newest", limit: maxSearched }).pipe(
        Effect.catchTag("ConversationNotFound", () => Effect.succeed([]))
      )
      return messages.find(({ message, metadata }) =>
        message.role === "user" && metadata?.["uiMessageId"] === messageId
      )?.id
    })

    const submit = Effect.fnUntraced(function*(request: ChatRequest, last: UiMessage) {
      const content = toUserContent(last)
      if (content === undefined) return yield* invalid("end with a message that has neither text nor a file")
      const conversationId = yield* conversationOf(request)
      const replaces: MessageId | undefined = conversationId === undefined || last.id === undefined
        ? undefined
        : yield* storedMessage(conversationId, last.id)
      const again = request.trigger === "regenerate-message" && conversationId !== undefined && replaces === undefined
      const started: Effect.Effect<Task, StartError> = again
        ? manager.regenerate(conversationId, { agentId: request.agentId })
        : manager.start({
          conversationId,
          agentId: request.agentId,
          message: { role: "user", content },
          replaces,
          ...(last.id === undefined ? {} : { userMetadata: { uiMessageId: last.id } })
        })
      const task = yield* started
      return { messageId: task.id, after: 0 }
    })

    const decide = Effect.fnUntraced(function*(request: ChatRequest, last: UiMessage) {
      const decisions = decisionsOf(last)
      const conversationId = yield* conversationOf(request)
      const task = (yield* find(last.id ?? "")) ??
        (conversationId === undefined ? undefined : yield* currentOf(conversationId))
      if (decisions.length === 0 || task === undefined) {
        return yield* invalid("end with neither a message of the user nor an answer to a tool call that waits")
      }
      const { response } = yield* replay({ messageId: task.id, after: 0, through: task.lastSeq })
      for (const { decision, toolCallId } of decisions) yield* manager.decide(task.id, toolCallId, decision)
      return { messageId: task.id, after: response.pausedAt }
    })

    /** The response that a name means, or else the newest answer of the chat of this name. */
    const named = Effect.fnUntraced(function*(id: ConversationId) {
      const parsed = UiResponse.parseId(id)
      const task = parsed === undefined ? undefined : yield* find(parsed.taskId)
      if (parsed !== undefined && task !== undefined && (yield* beginsAt(task.id, parsed.after))) {
        return { task, after: parsed.after, isChat: false }
      }
      const current = yield* currentOf(id)
      return current === undefined ? undefined : { task: current, after: 0, isChat: true }
    })

    const resume = Effect.fnUntraced(function*(
      { after, isChat, task }: NonNullable<Effect.Success<ReturnType<typeof named>>>,
      startIndex: number | undefined
    ) {
      const range = { messageId: task.id, after, through: isChat ? task.lastSeq : after }
      if (startIndex === undefined) return yield* stream(range)
      const { response } = yield* replay(range)
      const skip = startIndex < 0 ? Math.max(0, response.count + startIndex) : startIndex
      if (response.ended && skip >= response.count) return noContent
      const headers = { "x-workflow-stream-tail-index": String(response.count - 1) }
      return yield* stream(range, { skip, headers })
    })

    return handlers.handleAll({
      chat: ({ payload }) =>
        Effect.gen(function*() {
          yield* admit
          const last = payload.messages[payload.messages.length - 1] ?? payload.messages[0]
          return yield* withProblems(Effect.gen(function*() {
            const range = yield* last.role === "assistant" ? decide(payload, last) : submit(payload, last)
            return yield* stream(range, { begun: true })
          }))
        }),
      resume: ({ params, query: { startIndex } }) =>
        Effect.gen(function*() {
          const found = yield* withProblems(named(params.id))
          if (found === undefined) return noContent
          const now = yield* Clock.currentTimeMillis
          const endedAt = found.task.endedAt === undefined ? now : DateTime.toEpochMillis(found.task.endedAt)
          if (startIndex === undefined && now - endedAt > replayMillis) return noContent
          yield* admit
          return yield* withProblems(
            Effect.catchTag(resume(found, startIndex), "TaskNotFound", () => Effect.succeed(noContent))
          )
        }),
      stop: ({ params }) =>
        withProblems(Effect.gen(function*() {
          const parsed = UiResponse.parseId(params.id)
          const named = parsed === undefined ? undefined : yield* find(parsed.taskId)
          const task = named ?? (yield* currentOf(params.id))
          if (task === undefined || isTerminal(task.status)) return
          const cancelled = Effect.catchTag(manager.cancel(task.id), "TaskNotFound", () => Effect.void)
          yield* Effect.timeoutOption(cancelled, stopPatience)
        }))
    })
  })
)

/**
 * The face: `Server.layerRoutes({ faces: [AiSdk.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = {
  group: AiSdkApi.groups.aiSdk,
  routes: HttpApiBuilder.layer(AiSdkApi).pipe(Layer.provide(layerHandlers))
}
