/**
 * What the LangGraph face does with runs: it starts, streams, awaits and cancels tasks.
 *
 * @since 0.1.0
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type ConversationId, messageId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { InvalidInput, StreamLost, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { DateTime, Effect, Schema, Stream } from "effect"
import * as FramedWire from "../../internal/framed.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import * as Sse from "../../Sse.ts"
import type { RunCreate } from "./LangGraphSchemas.ts"
import { type Json, metadataOf } from "./Messages.ts"
import * as RunEvents from "./RunEvents.ts"
import { decisionsOf, type Question, toQuestion } from "./RunInput.ts"
import * as RunState from "./RunState.ts"
import { makeStoredThread, noModes } from "./StoredThread.ts"
import * as ThreadState from "./ThreadState.ts"

/** A cancel answers after this time at the latest. It is stored. */
const cancelPatience = "10 seconds"

const utf8 = new TextEncoder()

/** The client would take a comment that is followed by a heartbeat for the usual interval of heartbeats. */
const wire = { ...FramedWire.framed(), opening: () => utf8.encode("\n") }

const isTaskId = Schema.is(TaskId)
const isMode = Schema.is(Schema.Literals(RunState.streamModes))

/** A task, or the part of it after a seq. */
interface Started {
  readonly task: Task
  readonly after: number
  readonly strategy?: string | null | undefined
}

/** What a task remembers of its request. */
const Remembered = Schema.Struct({
  metadata: Schema.Record(Schema.String, Schema.Json),
  streamMode: Schema.Array(Schema.String)
})
const decodeRemembered = Schema.decodeUnknownOption(Remembered)

const rememberedOf = ({ metadata }: Task): typeof Remembered.Type => {
  const remembered = decodeRemembered(metadata?.["langgraph"])
  return remembered._tag === "Some" ? remembered.value : { metadata: {}, streamMode: ["values"] }
}

const toModes = (given: RunCreate["stream_mode"]): ReadonlyArray<string> | undefined =>
  typeof given === "string" ? [given] : given ?? undefined

/** A reader that names no modes gets those that the run was created with. */
const modesOf = (task: Task, given: RunCreate["stream_mode"]): ReadonlySet<RunState.StreamMode> =>
  new Set((toModes(given) ?? rememberedOf(task).streamMode).filter(isMode))

/** As the client needs the paths of a run: without the prefix of the server, which is a part of its own URL. */
const pathOf = ({ conversationId, id }: Task): string =>
  `/threads/${encodeURIComponent(conversationId)}/runs/${encodeURIComponent(id)}`

/**
 * The operations of runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRuns = Effect.gen(function*() {
  const manager = yield* TaskManager
  const store = yield* ConversationStore
  const streams = yield* Sse.EventStreams
  const thread = yield* makeStoredThread

  /** The task of a run. An id that is none, or a run of another thread, does not exist. */
  const find = Effect.fnUntraced(function*(id: string, conversationId?: ConversationId) {
    if (!isTaskId(id)) return yield* new TaskNotFound({ taskId: TaskId.make("unknown") })
    const task = yield* manager.get(id)
    if (conversationId !== undefined && task.conversationId !== conversationId) {
      return yield* new TaskNotFound({ taskId: id })
    }
    return task
  })

  const toRun = Effect.fnUntraced(function*(task: Task, strategy?: string | null) {
    const status = yield* thread.statusOf(task)
    const run: Json & { readonly run_id: string; readonly thread_id: string; readonly status: string } = {
      run_id: task.id,
      thread_id: task.conversationId,
      assistant_id: task.agentId,
      created_at: DateTime.formatIso(task.createdAt),
      updated_at: DateTime.formatIso(task.updatedAt),
      status,
      metadata: rememberedOf(task).metadata,
      kwargs: {},
      multitask_strategy: strategy ?? null
    }
    return run
  })

  /** The message of the user that comes after a checkpoint, and that a new run replaces. */
  const replacedAt = Effect.fnUntraced(function*(id: ConversationId, checkpointId: string) {
    const { stored, turns } = yield* thread.read(id)
    const count = ThreadState.countAt(turns, checkpointId)
    if (count === undefined) {
      return yield* new InvalidInput({
        field: "checkpoint",
        problem: `is "${checkpointId}", which the thread does not have`
      })
    }
    const next = turns[count]
    return next === undefined ? undefined : stored.find((message) => message.id === messageId(next.taskId, 1))
  })

  const onBusyOf = Effect.fnUntraced(function*(id: ConversationId, strategy: RunCreate["multitask_strategy"]) {
    const head = yield* thread.headOf(id)
    // LangGraph has ended a run that waits for a person: new input does without the answer.
    if (head !== undefined && (yield* thread.statusOf(head)) === "interrupted") return { onBusy: "interrupt" as const }
    if (strategy !== "rollback") return { onBusy: strategy ?? "enqueue" }
    return {
      onBusy: "interrupt" as const,
      replaces: head?.status === "running" ? messageId(head.id, 1) : undefined
    }
  })

  const submit = Effect.fnUntraced(
    function*(id: ConversationId | undefined, request: RunCreate, question: Question | undefined) {
      const { assistant_id: agentId, checkpoint, checkpoint_id: given, metadata, multitask_strategy: strategy } =
        request
      if (id !== undefined && request.if_not_exists !== "create") {
        yield* store.get({ id, userId: yield* CurrentUser })
      }
      const checkpointId = checkpoint?.checkpoint_id ?? given ?? undefined
      const replaced = id === undefined || checkpointId === undefined ? undefined : yield* replacedAt(id, checkpointId)
      const earlier = replaced?.message.role === "user" ? replaced.message : undefined
      const message = question === undefined ? earlier : { role: "user" as const, content: question.content }
      if (message === undefined) {
        return yield* new InvalidInput({ field: "input", problem: "has no message of a user with text or a file" })
      }
      const busy = id === undefined ? {} : yield* onBusyOf(id, strategy)
      return yield* manager.start({
        agentId,
        conversationId: id,
        message,
        ...busy,
        ...(replaced === undefined ? {} : { replaces: replaced.id }),
        ...(question === undefined ? { userMetadata: replaced?.metadata } : metadataOf(question.id)),
        metadata: { langgraph: { metadata: metadata ?? {}, streamMode: toModes(request.stream_mode) ?? ["values"] } }
      })
    }
  )

  const resume = Effect.fnUntraced(function*(id: ConversationId, answer: Schema.Json) {
    const head = yield* thread.headOf(id)
    const state = head === undefined ? undefined : yield* thread.stateOf(head)
    if (head === undefined || state === undefined || !RunState.isPaused(state)) {
      return yield* new InvalidInput({ field: "command", problem: "resumes a thread in which no tool call waits" })
    }
    const [question] = RunState.interruptsOf(head.id, state)
    const decisions = decisionsOf(answer, [...state.calls.keys()], String(question?.["id"]))
    if (decisions === undefined) {
      const problem =
        `has no decision about each of ${state.calls.size} tool calls: { decisions: [{ type: "approve" }] }`
      return yield* new InvalidInput({ field: "command", problem })
    }
    for (const { decision, toolCallId } of decisions) yield* manager.decide(head.id, toolCallId, decision)
    const started: Started = { task: head, after: state.pausedAt }
    return started
  })

  const create = Effect.fnUntraced(function*(id: ConversationId | undefined, request: RunCreate) {
    const answer = request.command?.resume
    if (id !== undefined && answer !== undefined) return yield* resume(id, answer)
    const task = yield* submit(id, request, toQuestion(request.input))
    const started: Started = { task, after: 0, strategy: request.multitask_strategy ?? "enqueue" }
    return started
  })

  /** The frames of a part of a task, with the messages that come before it in the thread. */
  const frames = (
    range: RunState.Range,
    events: Stream.Stream<StoredEvent, StreamLost>,
    task: Task,
    cursor: RunState.Cursor
  ) =>
    Stream.suspend(() => {
      let state = RunState.initial
      let encode: ReturnType<typeof RunState.toText> | undefined
      return events.pipe(
        Stream.map((stored) => {
          const made = RunEvents.step(range, state, stored)
          state = made.state
          return { stored, frames: made.frames.filter(RunState.isAfter(cursor)), isLast: state.ended }
        }),
        Stream.takeUntil(({ isLast }) => isLast),
        Stream.filter(({ frames }) => frames.length > 0),
        Stream.mapEffect(Effect.fnUntraced(function*({ frames, stored }) {
          const needsBefore = encode === undefined && frames.some(({ event }) => event === "values")
          if (needsBefore) encode = RunState.toText(yield* thread.before(task))
          return { ...stored, frames: frames.map(encode ?? RunState.toText([])).join("") }
        }))
      )
    })

  /** `begun`: the task has started, and the client can ask for its events again. */
  const stream = Effect.fnUntraced(function*(
    { after, task }: Started,
    { begun = false, cursor = { seq: 0, n: 0 }, modes }: {
      readonly modes: RunCreate["stream_mode"]
      readonly cursor?: RunState.Cursor | undefined
      readonly begun?: boolean
    }
  ) {
    const { conversationId: threadId, id: taskId, lastSeq } = task
    const asked = modesOf(task, modes)
    const events = yield* Effect.catch(
      thread.events(taskId),
      (error) =>
        begun
          ? Effect.succeed(Stream.fail(new StreamLost({ taskId, after: 0, reason: error.message })))
          : Effect.fail(error)
    )
    const range = { taskId, threadId, after, through: begun ? after : lastSeq, modes: asked }
    const query = new URLSearchParams([
      ...[...asked].map((mode) => ["stream_mode", mode]),
      ...(after === 0 ? [] : [["after", String(after)]])
    ])
    return streams.response(frames(range, events, task, cursor), {
      wire,
      headers: { location: `${pathOf(task)}/stream?${query}`, "content-location": pathOf(task) },
      userId: yield* CurrentUser,
      expiresAt: (yield* CurrentPrincipal)?.expiresAt
    })
  })

  /** The values at the end, or where a person is asked. */
  const ended = Effect.fnUntraced(function*({ after, task }: Started, begun: boolean) {
    const range = {
      taskId: task.id,
      threadId: task.conversationId,
      after,
      through: begun ? after : task.lastSeq,
      modes: noModes
    }
    const state = yield* thread.foldOf(range, yield* thread.events(task.id))
    const interrupts = RunState.interruptsOf(task.id, state)
    const values: Json = {
      ...RunState.valuesOf(state),
      messages: [...yield* thread.before(task), ...state.messages],
      ...(interrupts.length === 0 ? {} : { __interrupt__: interrupts }),
      ...(state.error === undefined ? {} : { __error__: state.error })
    }
    return values
  })

  const cancel = Effect.fnUntraced(function*(task: Task) {
    if (isTerminal(task.status)) return true
    // Checked there: a cancel has no reason that could be too long.
    const cancelled = Effect.catchTag(manager.cancel(task.id), "InvalidInput", Effect.die)
    return (yield* Effect.timeoutOption(cancelled, cancelPatience))._tag === "Some"
  })

  const list = Effect.fnUntraced(function*(
    id: ConversationId,
    { limit = 10, offset = 0, status }: {
      readonly limit?: number | undefined
      readonly offset?: number | undefined
      readonly status?: string | undefined
    }
  ) {
    yield* store.get({ id, userId: yield* CurrentUser })
    const tasks = yield* manager.list({ conversationId: id, limit: status === undefined ? limit + offset : 1_000 })
    const runs = yield* Effect.forEach(tasks, (task) => toRun(task))
    return runs.filter((run) => status === undefined || run.status === status).slice(offset, offset + limit)
  })

  return { find, toRun, create, stream, ended, cancel, list, pathOf }
})
