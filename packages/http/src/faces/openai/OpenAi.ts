/**
 * The face for clients of OpenAI's Responses API: create, stream, retrieve and cancel responses that run in the background.
 *
 * `model` is the agent. A response is a task, or a part of one where a person decided in between. `docs/faces/openai.md` says
 * what a client has to know.
 *
 * @since 0.1.0
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { messageId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { type CursorAhead, InvalidInput, StreamLost, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Layer, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import * as FramedWire from "../../internal/framed.ts"
import { withProblems } from "../../internal/withProblems.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import * as Sse from "../../Sse.ts"
import { type CreateResponse, layerErrors, OpenAiApi } from "./OpenAiApi.ts"
import * as ResponseEvents from "./ResponseEvents.ts"
import { decisionsOf, toInputItem, toUserContent } from "./ResponseInput.ts"
import * as ResponseState from "./ResponseState.ts"

/** How many messages of a conversation are searched for the input of a response. */
const maxSearched = 100

/** A cancel answers after this time at the latest. It is stored. */
const cancelPatience = "10 seconds"

/** What a task remembers of its request. */
const Remembered = Schema.Struct({
  previousResponseId: Schema.NullOr(Schema.String),
  background: Schema.Boolean,
  metadata: Schema.Record(Schema.String, Schema.Json)
})
const decodeRemembered = Schema.decodeUnknownOption(Remembered)
const forgotten = { previousResponseId: null, background: true, metadata: {} }

const isTaskId = Schema.is(TaskId)
const wire = FramedWire.framed()

const headOf = (task: Task, after: number): ResponseState.Head => {
  const remembered = decodeRemembered(task.metadata?.["openai"])
  const known = remembered._tag === "Some" ? remembered.value : forgotten
  return { ...known, taskId: task.id, model: task.agentId, after }
}

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

const toFrame = (event: ResponseEvents.ResponseEvent): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`

const json = (head: ResponseState.Head, state: ResponseState.State) =>
  HttpServerResponse.jsonUnsafe(ResponseState.toObject(head, state))

const layerHandlers = HttpApiBuilder.group(
  OpenAiApi,
  "openai",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const store = yield* ConversationStore
    const streams = yield* Sse.EventStreams
    const admit = admitted(streams)

    /** The response, as far as it has come in these events. */
    const foldOf = <E>(head: ResponseState.Head, events: Stream.Stream<StoredEvent, E>) =>
      events.pipe(
        Stream.scan(() => ResponseState.initial, (state: ResponseState.State, stored) =>
          ResponseEvents.step(head, state, stored).state),
        Stream.takeUntil(ResponseState.hasEnded),
        Stream.runLast,
        Effect.map((last) =>
          last._tag === "Some" ? last.value : ResponseState.initial
        )
      )

    const now = Effect.fnUntraced(function*(head: ResponseState.Head, until = Number.POSITIVE_INFINITY) {
      const { events, task } = yield* fromStart(manager.open(head.taskId))
      return yield* foldOf(head, Stream.take(events, Math.min(until, task.lastSeq)))
    })

    /** The task of a response. An id that is none is an id of no task. */
    const find = Effect.fnUntraced(function*(id: string) {
      const parsed = ResponseState.parseId(id)
      if (parsed === undefined || !isTaskId(parsed.taskId)) {
        const shown = id.slice(0, 200)
        return yield* new TaskNotFound({ taskId: isTaskId(shown) ? shown : TaskId.make("unknown") })
      }
      const task = yield* manager.get(parsed.taskId)
      const head = headOf(task, parsed.after)
      // Another response begins where a person was asked, and nowhere else.
      if (head.after > 0 && (yield* now(head, head.after)).pausedAt !== head.after) {
        return yield* new TaskNotFound({ taskId: task.id })
      }
      return { task, head }
    })

    const ended = Effect.fnUntraced(function*(head: ResponseState.Head) {
      return yield* foldOf(head, yield* fromStart(manager.events(head.taskId)))
    })

    /** `begun`: the task has started, and the client can ask for its events again. */
    const stream = Effect.fnUntraced(function*(
      head: ResponseState.Head,
      { begun = false, skip = 0 }: { readonly begun?: boolean; readonly skip?: number }
    ) {
      const { taskId } = head
      const events: Stream.Stream<StoredEvent, StreamLost> = yield* Effect.catch(
        fromStart(manager.events(taskId)),
        (error) =>
          begun ?
            Effect.succeed(Stream.fail(new StreamLost({ taskId, after: 0, reason: error.message }))) :
            Effect.fail(error)
      )
      const framed = Stream.suspend(() => {
        let state = ResponseState.initial
        return events.pipe(
          Stream.map((stored) => {
            const before = state.count
            const made = ResponseEvents.step(head, state, stored)
            state = made.state
            const frames = made.events.slice(Math.max(0, skip - before)).map(toFrame).join("")
            return { ...stored, frames, isLast: ResponseState.hasEnded(state) }
          }),
          Stream.takeUntil(({ isLast }) => isLast),
          Stream.filter(({ frames }) => frames !== "")
        )
      })
      const userId = yield* CurrentUser
      const principal = yield* CurrentPrincipal
      return streams.response(framed, { wire, userId, expiresAt: principal?.expiresAt })
    })

    const conversationOf = Effect.fnUntraced(
      function*({ conversation, previous_response_id: previous }: CreateResponse) {
        if (typeof conversation === "string") return conversation
        if (conversation !== undefined && conversation !== null) return conversation.id
        if (previous === undefined || previous === null) return undefined
        return (yield* find(previous)).task.conversationId
      }
    )

    const decide = Effect.fnUntraced(function*(request: CreateResponse, decisions: ReturnType<typeof decisionsOf>) {
      const previous = request.previous_response_id
      if (previous === undefined || previous === null) {
        return yield* new InvalidInput({ field: "previous_response_id", problem: "is needed to answer a tool call" })
      }
      const { task } = yield* find(previous)
      const all = headOf(task, task.lastSeq)
      const { pausedAt } = yield* now(all)
      for (const { decision, toolCallId } of decisions) yield* manager.decide(task.id, toolCallId, decision)
      return headOf(task, pausedAt)
    })

    const submit = Effect.fnUntraced(function*(request: CreateResponse, idempotencyKey: string | undefined) {
      const content = toUserContent(request)
      if (content === undefined) {
        return yield* new InvalidInput({ field: "input", problem: "has no message of a user with text or a file" })
      }
      const task = yield* manager.start({
        agentId: request.model,
        conversationId: yield* conversationOf(request),
        message: { role: "user", content },
        idempotencyKey,
        metadata: {
          openai: {
            previousResponseId: request.previous_response_id ?? null,
            background: request.background ?? false,
            metadata: request.metadata ?? {}
          }
        }
      })
      return headOf(task, 0)
    })

    return handlers.handleAll({
      create: ({ headers, payload }) =>
        Effect.gen(function*() {
          const streamed = payload.stream === true
          if (streamed) yield* admit
          const decisions = decisionsOf(payload)
          return yield* withProblems(Effect.gen(function*() {
            const head = yield* decisions.length > 0
              ? decide(payload, decisions)
              : submit(payload, headers["idempotency-key"])
            if (streamed) return yield* stream(head, { begun: true })
            return json(head, yield* payload.background === true ? now(head) : ended(head))
          }))
        }),
      retrieve: ({ params, query }) =>
        Effect.gen(function*() {
          const { head } = yield* withProblems(find(params.id))
          if (query.stream !== "true") return json(head, yield* withProblems(now(head)))
          yield* admit
          return yield* withProblems(stream(head, { skip: (query.starting_after ?? -1) + 1 }))
        }),
      cancel: ({ params }) =>
        withProblems(Effect.gen(function*() {
          const { head, task } = yield* find(params.id)
          // Checked there: a cancel has no reason that could be too long.
          const cancel = Effect.catchTag(manager.cancel(task.id), "InvalidInput", Effect.die)
          if (!isTerminal(task.status)) yield* Effect.timeoutOption(cancel, cancelPatience)
          return json(head, yield* now(head))
        })),
      inputItems: ({ params }) =>
        withProblems(Effect.gen(function*() {
          const { head, task } = yield* find(params.id)
          const key = { id: task.conversationId, userId: yield* CurrentUser }
          const messages = yield* store.messages(key, { order: "newest", limit: maxSearched })
          const asked = head.after > 0 ? undefined : messages.find(({ id }) => id === messageId(task.id, 1))
          const data = asked === undefined ? [] : [toInputItem(asked)]
          const id = data[0]?.id ?? null
          return { object: "list" as const, data, first_id: id, last_id: id, has_more: false }
        }))
    })
  })
)

/**
 * The face: `Server.layerRoutes({ faces: [OpenAi.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = {
  group: OpenAiApi.groups.openai,
  routes: HttpApiBuilder.layer(OpenAiApi).pipe(Layer.provide(layerHandlers), Layer.provide(layerErrors))
}
