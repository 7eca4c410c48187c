/**
 * The face for clients of LangGraph: `@langchain/langgraph-sdk`, and what is built on it.
 *
 * A thread is a conversation, a run is a task, and an assistant is an agent. `docs/faces/langgraph.md` says what a client has to know.
 *
 * @since 0.1.0
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import type { AgentId, ConversationId } from "@perennial/domain/Ids"
import { AgentNotFound, InvalidInput } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import { withProblems } from "../../internal/withProblems.ts"
import * as Sse from "../../Sse.ts"
import { LangGraphApi, layerApiKey } from "./LangGraphApi.ts"
import type { RunCreate } from "./LangGraphSchemas.ts"
import type { Json } from "./Messages.ts"
import { makeRuns } from "./Runs.ts"
import * as RunState from "./RunState.ts"
import { makeThreads } from "./Threads.ts"

/** LangGraph's clients want a time. An agent has none. */
const noTime = "1970-01-01T00:00:00.000Z"

const toAssistant = ({ id, model, tools }: AgentDescription) => ({
  assistant_id: id,
  graph_id: id,
  name: id,
  version: 1,
  config: {},
  context: {},
  metadata: { ...(model === undefined ? {} : { model }), tools: tools.map(({ name }) => name) },
  created_at: noTime,
  updated_at: noTime
})

const messagesSchema = {
  type: "object",
  properties: { messages: { type: "array", items: { type: "object" } } }
}

const info = { version: "perennial", flags: { assistants: true, crons: false, langsmith: false } }

const cursorOf = (lastEventId: string | undefined) => {
  const cursor = lastEventId === undefined || lastEventId === "" ? { seq: 0, n: 0 } : RunState.parseId(lastEventId)
  return cursor === undefined
    ? Effect.fail(
      new InvalidInput({ field: "last-event-id", problem: `is "${lastEventId}": it is the id of an event, or -1` })
    )
    : Effect.succeed(cursor)
}

const layerHandlers = HttpApiBuilder.group(
  LangGraphApi,
  "langgraph",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    const runs = yield* makeRuns
    const threads = yield* makeThreads
    const admit = admitted(streams)

    const streamed = (id: ConversationId | undefined, request: RunCreate) =>
      Effect.gen(function*() {
        yield* admit
        return yield* withProblems(Effect.gen(function*() {
          const started = yield* runs.create(id, request)
          return yield* runs.stream(started, { modes: request.stream_mode, begun: true })
        }))
      })

    const waited = (id: ConversationId | undefined, request: RunCreate) =>
      withProblems(Effect.gen(function*() {
        const started = yield* runs.create(id, request)
        const headers = { "content-location": runs.pathOf(started.task) }
        return HttpServerResponse.jsonUnsafe(yield* runs.ended(started, true), { headers })
      }))

    const created = (id: ConversationId | undefined, request: RunCreate) =>
      withProblems(Effect.gen(function*() {
        const { strategy, task } = yield* runs.create(id, request)
        const headers = { "content-location": runs.pathOf(task) }
        return HttpServerResponse.jsonUnsafe(yield* runs.toRun(task, strategy), { headers })
      }))

    interface Join {
      readonly headers: { readonly "last-event-id"?: string }
      readonly query: { readonly stream_mode?: string | ReadonlyArray<string>; readonly after?: number }
    }

    const joined = (runId: string, { headers, query }: Join, id?: ConversationId) =>
      Effect.gen(function*() {
        const { cursor, task } = yield* withProblems(Effect.all({
          cursor: cursorOf(headers["last-event-id"]),
          task: runs.find(runId, id)
        }))
        yield* admit
        const started = { task, after: Math.min(query.after ?? 0, task.lastSeq) }
        return yield* withProblems(runs.stream(started, { modes: query.stream_mode, cursor }))
      })

    const assistant = Effect.fnUntraced(function*(id: AgentId) {
      const agents = yield* manager.agents
      const found = agents.find((agent) => agent.id === id)
      return found ?? (yield* new AgentNotFound({ agentId: id, known: agents.map((agent) => agent.id) }))
    })

    return handlers.handleAll({
      streamRun: ({ params, payload }) => streamed(params.threadId, payload),
      waitRun: ({ params, payload }) => waited(params.threadId, payload),
      createRun: ({ params, payload }) => created(params.threadId, payload),
      streamNewRun: ({ payload }) => streamed(undefined, payload),
      waitNewRun: ({ payload }) => waited(undefined, payload),
      createNewRun: ({ payload }) => created(undefined, payload),
      listRuns: ({ params, query }) => withProblems(runs.list(params.threadId, query)),
      getRun: ({ params }) => withProblems(Effect.flatMap(runs.find(params.runId, params.threadId), runs.toRun)),
      joinStream: ({ headers, params, query }) => joined(params.runId, { headers, query }, params.threadId),
      joinNewStream: ({ headers, params, query }) => joined(params.runId, { headers, query }),
      joinRun: ({ params }) =>
        withProblems(
          Effect.flatMap(runs.find(params.runId, params.threadId), (task) => runs.ended({ task, after: 0 }, false))
        ),
      cancelRun: ({ params }) =>
        withProblems(Effect.flatMap(runs.find(params.runId, params.threadId), runs.cancel)).pipe(
          Effect.map((isOver) => HttpServerResponse.empty({ status: isOver ? 204 : 202 }))
        ),
      createThread: ({ payload }) => withProblems(threads.create(payload.thread_id, payload.metadata)),
      searchThreads: ({ payload }) => withProblems(threads.search(payload)),
      getThread: ({ params }) => withProblems(threads.get(params.threadId)),
      updateThread: ({ params, payload }) => withProblems(threads.update(params.threadId, payload.metadata)),
      deleteThread: ({ params }) => withProblems(threads.remove(params.threadId)),
      getState: ({ params }) => withProblems(threads.state(params.threadId)),
      getStateAt: ({ params }) => withProblems(threads.state(params.threadId, params.checkpointId)),
      getStateOf: ({ params, payload }) =>
        withProblems(threads.state(params.threadId, payload.checkpoint.checkpoint_id ?? undefined)),
      getHistory: ({ params, payload }) =>
        withProblems(threads.history(params.threadId, payload.limit ?? 10, checkpointOf(payload.before))),
      searchAssistants: ({ payload }) =>
        withProblems(Effect.map(manager.agents, (agents) => {
          const wanted = [payload.graph_id, payload.name].filter((name) => typeof name === "string")
          const found = agents.filter(({ id }) => wanted.every((name) => name === id))
          const offset = payload.offset ?? 0
          return found.slice(offset, offset + (payload.limit ?? 10)).map(toAssistant)
        })),
      getAssistant: ({ params }) => withProblems(Effect.map(assistant(params.assistantId), toAssistant)),
      getSchemas: ({ params }) =>
        withProblems(Effect.map(assistant(params.assistantId), ({ id }): Json => ({
          graph_id: id,
          input_schema: messagesSchema,
          output_schema: messagesSchema,
          state_schema: messagesSchema,
          config_schema: null,
          context_schema: null
        }))),
      ok: () => Effect.succeed({ ok: true }),
      info: () => Effect.succeed(info)
    })
  })
)

type Before = string | { readonly checkpoint_id?: string | null } | {
  readonly configurable: { readonly checkpoint_id?: string | null }
}

const checkpointOf = (before: Before | null | undefined): string | undefined => {
  if (before === null || before === undefined) return undefined
  if (typeof before === "string") return before
  return ("configurable" in before ? before.configurable : before).checkpoint_id ?? undefined
}

/**
 * The face: `Server.layerRoutes({ faces: [LangGraph.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = {
  group: LangGraphApi.groups.langgraph,
  routes: HttpApiBuilder.layer(LangGraphApi).pipe(Layer.provide(layerHandlers), Layer.provide(layerApiKey))
}
