/**
 * The face for clients of A2A 1.0, by JSON-RPC and by HTTP+JSON: agents that call other agents.
 *
 * A context is a conversation. `docs/faces/a2a.md` says what a client has to know.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { AgentId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Layer, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import * as FramedWire from "../../internal/framed.ts"
import * as WebhookCrypto from "../../internal/webhookCrypto.ts"
import { type Failure, withProblems } from "../../internal/withProblems.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import * as Sse from "../../Sse.ts"
import { A2aApi, type RpcRequest } from "./A2aApi.ts"
import { type A2aRefusal, layerErrors, protocolError, refuse, toHttpError, toRpcError } from "./A2aErrors.ts"
import { AllConfigs, decoder, ListTasks, OneConfig, OneTask, PushConfig, SendMessage } from "./A2aRequests.ts"
import * as A2aTask from "./A2aTask.ts"
import * as AgentCard from "./AgentCard.ts"
import * as Operations from "./Operations.ts"
import * as PushConfigs from "./PushConfigs.ts"
import type { Update } from "./TaskUpdates.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the cards say of agents, by the id of the agent. */
  readonly agents?: { readonly [agentId: string]: AgentCard.Description } | undefined
}

/** How a binding writes results, updates of streams, and errors. */
interface Binding {
  readonly result: (value: A2aTask.Json) => HttpServerResponse.HttpServerResponse
  readonly nothing: HttpServerResponse.HttpServerResponse
  readonly frame: (update: Update) => string
  readonly failed: (failure: unknown) => HttpServerResponse.HttpServerResponse
}

const toData = (value: A2aTask.Json): string => `data: ${JSON.stringify(value)}\n\n`

const httpJson: Binding = {
  result: (value) => HttpServerResponse.jsonUnsafe(value),
  nothing: HttpServerResponse.empty(),
  frame: toData,
  failed: toHttpError
}

const jsonRpc = (id: string | number | null): Binding => ({
  result: (result) => HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", id, result }),
  nothing: HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", id, result: null }),
  frame: (result) => toData({ jsonrpc: "2.0", id, result }),
  failed: (failure) => toRpcError(id, failure)
})

const params = {
  send: decoder(SendMessage),
  oneTask: decoder(OneTask),
  list: decoder(ListTasks),
  push: decoder(PushConfig),
  oneConfig: decoder(OneConfig),
  allConfigs: decoder(AllConfigs)
}

/** Clients of an older version would not understand the answer. Without the header the client has none. */
const checkVersion = Effect.gen(function*() {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const version = headers["a2a-version"]
  if (version === undefined || version === "" || /^1(?:\.\d+)*$/.test(version)) return
  const detail = `A2A-Version: Expected ${AgentCard.protocolVersion}, got ${version.slice(0, 20)}.`
  return yield* refuse("VERSION_NOT_SUPPORTED", detail)
})

const wire = FramedWire.framed()

const layerHandlers = ({ agents: descriptions = {} }: Options) =>
  HttpApiBuilder.group(
    A2aApi,
    "a2a",
    Effect.fnUntraced(function*(handlers) {
      const manager = yield* TaskManager
      const streams = yield* Sse.EventStreams
      const admit = admitted(streams)
      const operations = yield* Operations.make
      const configs = yield* PushConfigs.make

      const answer = <E extends Failure | A2aRefusal, R>(
        { failed }: Binding,
        operation: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
      ) =>
        Effect.andThen(checkVersion, operation).pipe(
          Effect.catchTag("A2aRefusal", (refusal) => Effect.succeed(failed(refusal))),
          withProblems,
          Effect.catch((problem) => Effect.succeed(failed(problem)))
        )

      const stream = Effect.fnUntraced(function*({ frame }: Binding, followed: Operations.Followed) {
        const framed = Operations.follow(followed).pipe(
          Stream.map(({ at, event, seq, updates }) => ({ at, event, seq, frames: updates.map(frame).join("") })),
          Stream.filter(({ frames }) => frames !== "")
        )
        const userId = yield* CurrentUser
        const principal = yield* CurrentPrincipal
        return streams.response(framed, { wire, userId, expiresAt: principal?.expiresAt })
      })

      /** A message may name an address that is told how the task goes on. */
      const send = Effect.fnUntraced(function*(agentId: AgentId, request: SendMessage) {
        const config = request.configuration?.taskPushNotificationConfig
        if (config !== undefined) yield* configs.check(config)
        const followed = yield* operations.send(agentId, request)
        if (config !== undefined) yield* configs.create(yield* operations.find(agentId, followed.head.taskId), config)
        return followed
      })

      const sendAndWait = Effect.fnUntraced(function*(binding: Binding, agentId: AgentId, request: SendMessage) {
        const { historyLength, returnImmediately = false } = request.configuration ?? {}
        const followed = yield* send(agentId, request)
        const { head } = followed
        const state = returnImmediately
          ? (yield* operations.get(agentId, head.taskId)).state
          : yield* operations.settled(followed)
        return binding.result({ task: A2aTask.toObject(head, state, { historyLength }) })
      })

      const get = (binding: Binding, agentId: AgentId, id: string, historyLength: number | undefined) =>
        Effect.map(
          operations.get(agentId, id),
          ({ head, state }) => binding.result(A2aTask.toObject(head, state, { historyLength }))
        )

      const cancel = (binding: Binding, agentId: AgentId, id: string) =>
        Effect.map(operations.cancel(agentId, id), ({ head, state }) => binding.result(A2aTask.toObject(head, state)))

      const list = (binding: Binding, agentId: AgentId, request: ListTasks) =>
        Effect.map(operations.list(agentId, request), (page) => binding.result(page))

      const sendAndStream = (binding: Binding, agentId: AgentId, request: SendMessage) =>
        Effect.flatMap(send(agentId, request), (followed) => stream(binding, followed))

      const subscribe = (binding: Binding, agentId: AgentId, id: string) =>
        Effect.flatMap(operations.subscribe(agentId, id), (followed) => stream(binding, followed))

      const createConfig = Effect.fnUntraced(
        function*(binding: Binding, agentId: AgentId, taskId: string, config: PushConfig) {
          return binding.result(yield* configs.create(yield* operations.find(agentId, taskId), config))
        }
      )

      const getConfig = Effect.fnUntraced(function*(binding: Binding, agentId: AgentId, taskId: string, id: string) {
        return binding.result(yield* configs.get(yield* operations.find(agentId, taskId), id))
      })

      const listConfigs = Effect.fnUntraced(function*(binding: Binding, agentId: AgentId, taskId: string) {
        return binding.result(yield* configs.list(yield* operations.find(agentId, taskId)))
      })

      const deleteConfig = Effect.fnUntraced(function*(binding: Binding, agentId: AgentId, taskId: string, id: string) {
        yield* configs.remove(yield* operations.find(agentId, taskId), id)
        return binding.nothing
      })

      const call = (agentId: AgentId, { id = null, method, params: given }: RpcRequest) => {
        const binding = jsonRpc(id)
        switch (method) {
          case "SendMessage":
            return answer(
              binding,
              Effect.flatMap(params.send(given), (request) => sendAndWait(binding, agentId, request))
            )
          case "SendStreamingMessage":
            return Effect.andThen(
              admit,
              answer(binding, Effect.flatMap(params.send(given), (request) => sendAndStream(binding, agentId, request)))
            )
          case "SubscribeToTask":
            return Effect.andThen(
              admit,
              answer(binding, Effect.flatMap(params.oneTask(given), ({ id }) => subscribe(binding, agentId, id)))
            )
          case "GetTask":
            return answer(
              binding,
              Effect.flatMap(params.oneTask(given), ({ historyLength, id }) => get(binding, agentId, id, historyLength))
            )
          case "ListTasks":
            return answer(binding, Effect.flatMap(params.list(given), (request) => list(binding, agentId, request)))
          case "CancelTask":
            return answer(binding, Effect.flatMap(params.oneTask(given), ({ id }) => cancel(binding, agentId, id)))
          case "CreateTaskPushNotificationConfig":
            return answer(
              binding,
              Effect.flatMap(
                params.push(given),
                (config) => createConfig(binding, agentId, config.taskId ?? "", config)
              )
            )
          case "GetTaskPushNotificationConfig":
            return answer(
              binding,
              Effect.flatMap(params.oneConfig(given), ({ id, taskId }) => getConfig(binding, agentId, taskId, id))
            )
          case "ListTaskPushNotificationConfigs":
            return answer(
              binding,
              Effect.flatMap(params.allConfigs(given), ({ taskId }) => listConfigs(binding, agentId, taskId))
            )
          case "DeleteTaskPushNotificationConfig":
            return answer(
              binding,
              Effect.flatMap(params.oneConfig(given), ({ id, taskId }) => deleteConfig(binding, agentId, taskId, id))
            )
          case "GetExtendedAgentCard":
            return answer(binding, refuse("EXTENDED_AGENT_CARD_NOT_CONFIGURED", "An agent has one card for everybody."))
          default:
            return Effect.succeed(protocolError(id, -32601, `There is no method "${method.slice(0, 100)}".`))
        }
      }

      const card = Effect.fnUntraced(function*(agentId: AgentId | undefined) {
        const all = yield* manager.agents
        const agent = agentId === undefined ? all[0] : all.find(({ id }) => id === agentId)
        if (agent === undefined) return yield* refuse("AGENT_NOT_FOUND", `There is no agent "${agentId ?? "default"}".`)
        return HttpServerResponse.jsonUnsafe(
          yield* AgentCard.make(agent, descriptions[agent.id] ?? {}, configs.isEnabled)
        )
      })

      return handlers.handleAll({
        call: ({ params: { agentId }, payload }) => call(agentId, payload),
        send: ({ params: { agentId }, payload }) => answer(httpJson, sendAndWait(httpJson, agentId, payload)),
        stream: ({ params: { agentId }, payload }) =>
          Effect.andThen(admit, answer(httpJson, sendAndStream(httpJson, agentId, payload))),
        list: ({ params: { agentId }, query }) => answer(httpJson, list(httpJson, agentId, query)),
        get: ({ params: { agentId, taskId }, query }) =>
          answer(httpJson, get(httpJson, agentId, taskId, query.historyLength)),
        cancel: ({ params: { agentId, taskId } }) => answer(httpJson, cancel(httpJson, agentId, taskId)),
        subscribe: ({ params: { agentId, taskId } }) =>
          Effect.andThen(admit, answer(httpJson, subscribe(httpJson, agentId, taskId))),
        watch: ({ params: { agentId, taskId } }) =>
          Effect.andThen(admit, answer(httpJson, subscribe(httpJson, agentId, taskId))),
        createConfig: ({ params: { agentId, taskId }, payload }) =>
          answer(httpJson, createConfig(httpJson, agentId, taskId, payload)),
        getConfig: ({ params: { agentId, configId, taskId } }) =>
          answer(httpJson, getConfig(httpJson, agentId, taskId, configId)),
        listConfigs: ({ params: { agentId, taskId } }) => answer(httpJson, listConfigs(httpJson, agentId, taskId)),
        deleteConfig: ({ params: { agentId, configId, taskId } }) =>
          answer(httpJson, deleteConfig(httpJson, agentId, taskId, configId)),
        defaultCard: () => answer(httpJson, card(undefined)),
        card: ({ params: { agentId } }) => answer(httpJson, card(agentId))
      })
    })
  ).pipe(Layer.provide(WebhookCrypto.layer))

/**
 * The face with descriptions of agents: `Server.layerRoutes({ faces: [A2a.faceWith({ agents })] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const faceWith = (options: Options): Face => ({
  group: A2aApi.groups.a2a,
  routes: HttpApiBuilder.layer(A2aApi).pipe(Layer.provide(layerHandlers(options)), Layer.provide(layerErrors))
})

/**
 * The face: `Server.layerRoutes({ faces: [A2a.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = faceWith({})
