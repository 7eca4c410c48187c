/**
 * Perennial inside an HTTP application with routes of its own. Everything under `/agents` belongs to Perennial.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/embedded.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Config, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"

const hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("Hello from the application."))

const agent = LlmAgent.layer({
  agentId: "assistant",
  systemPrompt: "You are a helpful assistant.",
  model: ScriptedModel.layer({ otherwise: () => ["Hello ", "from ", "the agent."] })
})

const port = Config.withDefault(Config.Int("PORT"), 3000)

const application = Server.serve(Layer.merge(hello, Server.layerRoutes({ prefix: "/agents" }))).pipe(
  HttpServer.withLogAddress,
  Layer.provide([Tokens.layerLocal, Layer.provide(TaskRuntime.layerMemory, agent)]),
  Layer.provide(Layer.unwrap(Effect.map(port, (port) => NodeServer.layer({ port }))))
)

NodeRuntime.runMain(Layer.launch(application))
