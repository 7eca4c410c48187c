/**
 * The face for clients of AG-UI 1.0: CopilotKit and others that use `HttpAgent`.
 *
 * A thread is a conversation, and a run is a task, or a part of one where a person decided in between. `docs/faces/ag-ui.md` says
 * what a client has to know.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { Decision } from "@perennial/domain/Decision"
import { TaskId } from "@perennial/domain/Ids"
import type { TextPart } from "@perennial/domain/Message"
import { type CursorAhead, InvalidInput, StreamLost, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Layer, Schema, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import * as FramedWire from "../../internal/framed.ts"
import { withProblems } from "../../internal/withProblems.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import * as Sse from "../../Sse.ts"
import { AgUiApi, type RunAgentInput } from "./AgUiApi.ts"
import * as AgUiEvents from "./AgUiEvents.ts"
import * as AgUiRun from "./AgUiRun.ts"

type Message = RunAgentInput["messages"][number]
type Answer = NonNullable<RunAgentInput["resume"]>[number]

const isTaskId = Schema.is(TaskId)
const wire = FramedWire.framed()

const Parts = Schema.Array(Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }))
const decodeParts = Schema.decodeUnknownOption(Parts)

const Payload = Schema.Struct({
  approved: Schema.Boolean,
  reason: Schema.optionalKey(Schema.String),
  args: Schema.optionalKey(Schema.Json)
})
const decodePayload = Schema.decodeUnknownOption(Payload)

/** Text, or parts of it; other parts are not supported. */
const contentOf = (message: Message | undefined): readonly [TextPart, ...ReadonlyArray<TextPart>] | undefined => {
  const content = message?.["content"]
  if (typeof content === "string") return content === "" ? undefined : [{ type: "text", text: content }]
  const parts = decodeParts(content)
  const [first, ...rest] = parts._tag === "Some" ? parts.value : []
  return first === undefined ? undefined : [first, ...rest]
}

const decisionOf = ({ payload, status }: Answer): Decision | undefined => {
  if (status === "cancelled") return { approved: false, reason: "The question was cancelled." }
  const decoded = decodePayload(payload)
  return decoded._tag === "Some" ? decoded.value : undefined
}

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

const layerHandlers = HttpApiBuilder.group(
  AgUiApi,
  "agUi",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    const admit = admitted(streams)

    const submit = Effect.fnUntraced(
      function*({ messages, runId, threadId }: RunAgentInput, agentId: string | undefined) {
        const last = messages.findLastIndex(({ role }) => role === "user")
        const content = contentOf(messages[last])
        if (content === undefined) {
          return yield* new InvalidInput({ field: "messages", problem: "has no message of a user with text" })
        }
        const task = yield* manager.start({
          agentId,
          conversationId: threadId,
          message: { role: "user", content },
          idempotencyKey: `ag-ui:${runId}`
        })
        const [before, stale] = [messages.slice(0, last + 1), messages.slice(last + 1)]
        return { taskId: task.id, threadId, runId, after: 0, messages: before, stale }
      }
    )

    /** Where the question was asked: each time the same, so that the same run may be asked for again. */
    const askedAt = Effect.fnUntraced(function*(taskId: TaskId, toolCallId: string) {
      const { events, task } = yield* fromStart(manager.open(taskId))
      const head = { taskId, threadId: "", runId: "", after: task.lastSeq, messages: [], stale: [] }
      const state = yield* Stream.runFold(
        Stream.take(events, task.lastSeq),
        () => AgUiRun.initial,
        (state, stored) => AgUiEvents.step(head, state, stored).state
      )
      return state.askedAt.get(toolCallId) ?? 0
    })

    const answer = Effect.fnUntraced(
      function*(input: RunAgentInput, answers: readonly [Answer, ...ReadonlyArray<Answer>]) {
        const { taskId } = AgUiRun.parseInterruptId(answers[0].interruptId)
        if (!isTaskId(taskId)) return yield* new TaskNotFound({ taskId: TaskId.make("unknown") })
        const { conversationId } = yield* manager.get(taskId)
        if (conversationId !== input.threadId) return yield* new TaskNotFound({ taskId })
        let after = 0
        for (const one of answers) {
          const { taskId: other, toolCallId } = AgUiRun.parseInterruptId(one.interruptId)
          const decision = decisionOf(one)
          if (other !== taskId || decision === undefined) {
            const problem = "has an answer that is not { approved, reason?, args? } to a question of one run"
            return yield* new InvalidInput({ field: "resume", problem })
          }
          after = Math.max(after, yield* askedAt(taskId, toolCallId))
          yield* manager.decide(taskId, toolCallId, decision)
        }
        const { messages, runId, threadId } = input
        return { taskId, threadId, runId, after, messages, stale: [] }
      }
    )

    const stream = Effect.fnUntraced(function*(head: AgUiRun.Head) {
      const { taskId } = head
      // The task has started or goes on: the client asks again with the same `runId`.
      const events: Stream.Stream<StoredEvent, StreamLost> = yield* Effect.catch(
        fromStart(manager.events(taskId)),
        (error) => Effect.succeed(Stream.fail(new StreamLost({ taskId, after: 0, reason: error.message })))
      )
      const framed = Stream.suspend(() => {
        let state = AgUiRun.initial
        return events.pipe(
          Stream.map((stored) => {
            const made = AgUiEvents.step(head, state, stored)
            state = made.state
            const frames = made.events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
            return { ...stored, frames, isLast: state.ended }
          }),
          Stream.takeUntil(({ isLast }) => isLast),
          Stream.filter(({ frames }) => frames !== "")
        )
      })
      const userId = yield* CurrentUser
      const principal = yield* CurrentPrincipal
      return streams.response(framed, { wire, userId, expiresAt: principal?.expiresAt })
    })

    return handlers.handleAll({
      run: ({ payload, query }) =>
        Effect.gen(function*() {
          yield* admit
          const [first, ...rest] = payload.resume ?? []
          return yield* withProblems(Effect.gen(function*() {
            const head = yield* first === undefined ? submit(payload, query.agentId) : answer(payload, [first, ...rest])
            return yield* stream(head)
          }))
        })
    })
  })
)

/**
 * The face: `Server.layerRoutes({ faces: [AgUi.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = {
  group: AgUiApi.groups.agUi,
  routes: HttpApiBuilder.layer(AgUiApi).pipe(Layer.provide(layerHandlers))
}
