/**
 * Evergreen: the complete server, as Layers. Tasks outlive connections and, but for the store `memory`, the process.
 *
 *     npx -y pnpm@12.21.0 start
 *
 * docs/configuration.md lists the environment variables, and docs/tutorial.md builds such a server step by step.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as StoreSetting from "@perennial/backends/StoreSetting"
import { UserData } from "@perennial/domain/UserData"
import * as Faces from "@perennial/http/Faces"
import * as NodeServer from "@perennial/http/NodeServer"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as Server from "@perennial/http/Server"
import * as Webhooks from "@perennial/http/Webhooks"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ModelSetting from "@perennial/runtime/ModelSetting"
import * as Retention from "@perennial/runtime/Retention"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { Effect, Layer, Option } from "effect"
import * as Launch from "./Launch.ts"
import * as RequestCounts from "./RequestCounts.ts"
import type { ServerConfig } from "./ServerConfig.ts"
import * as Telemetry from "./Telemetry.ts"
import * as Tools from "./Tools.ts"
import * as Users from "./Users.ts"
import * as Web from "./Web.ts"

/** Who answers: a model, its tools, and what the model is told about them. */
const agent = ({ model }: ServerConfig) =>
  Layer.unwrap(Effect.map(Tools.make, (tools) =>
    LlmAgent.layer({
      agentId: "evergreen",
      systemPrompt: "You are a helpful assistant. Use the tools where they help; say what you did with them.",
      tools,
      // `wait` may take ten minutes.
      timeouts: { tool: "11 minutes" },
      ...ModelSetting.models(model)
    }).pipe(Layer.provide(NodeServices.layer))))

/** How much runs at once. A process without capacity serves and accepts tasks, and executes none. */
const limits = ({ execute, maxActiveTasks }: ServerConfig) =>
  Layer.orDie(TaskLimits.layer({ activePerUser: maxActiveTasks, ...(execute ? undefined : { capacity: 0 }) }))

/**
 * What a process does without being asked: it removes the logs of old tasks, and tells webhooks. A copy of a store must not tell
 * anybody what the original has told: a server that executes nothing does neither.
 */
const chores = ({ execute, retention, webhook: { secrets, url } }: ServerConfig) =>
  execute
    ? Layer.merge(
      Option.match(retention, { onNone: () => Layer.empty, onSome: (keep) => Retention.layer({ keep }) }),
      Webhooks.layer({ webhooks: Option.toArray(url).map((url) => ({ name: "server", url, secrets })) })
    )
    : Layer.empty

/** What can be asked for: the API, the other protocols, the metrics, and the web app. */
const routes = (config: ServerConfig) =>
  Layer.mergeAll(
    Layer.unwrap(Effect.map(Faces.load(config.faces), (faces) =>
      Server.layerRoutes({ ...config, faces, tickets: { secret: config.ticketSecret } }))),
    Telemetry.routes(config.telemetry),
    Web.layer
  )

/** From the routes down to the store. Each Layer is provided with those below it. */
const server = (config: ServerConfig) =>
  Server.serve(routes(config), {
    handOver: true,
    maxStreams: config.maxStreams,
    maxUserStreams: config.maxUserStreams
  }).pipe(
    Layer.provide(Users.layer(config)),
    Layer.provide(RequestCounts.layer(config)),
    Layer.provide(UserData.layer),
    Layer.provide(Telemetry.streams(config.telemetry)),
    Layer.provideMerge(NodeServer.layer(config)),
    Layer.provide(Telemetry.tasks(config)),
    Layer.provide(Webhooks.layerAgents(agent(config))),
    Layer.provide(limits(config)),
    Layer.merge(chores(config)),
    Layer.provide(NodeWebhookClient.layer(config.webhook)),
    Layer.provide(StoreSetting.layer(config.store, { applicationName: "evergreen" })),
    Layer.provide(Telemetry.exporter(config.telemetry))
  )

NodeRuntime.runMain(Launch.launch(server), { teardown: Launch.teardown })
