/**
 * A server process with all faces on the store of `STORE`, which other processes share. Its model answers from the conversation
 * alone, so that another process goes on with the same answer. With `HOLDS` no answer ends: the model says some words, and waits.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import * as Storage from "../support/storage.ts"
import { faces } from "./clients.ts"

const words = Array.from({ length: 100 }, (_, i) => `word ${i} `)

const answer: ScriptedModel.Turn = process.env["HOLDS"] === undefined
  ? [{ thinking: ["Many words."] }, { drip: "5 millis" }, ...words]
  : [{ thinking: ["Many words."] }, ...words.slice(0, 10), { never: true }]

const agent = LlmAgent.layer({
  agentId: "assistant",
  systemPrompt: "You are under test.",
  model: ScriptedModel.layer({ otherwise: () => answer })
})

const announced = Layer.effectDiscard(
  Effect.flatMap(HttpServer.HttpServer, ({ address }) => Console.log(HttpServer.formatAddress(address)))
)

announced.pipe(
  Layer.provideMerge(
    Server.layer({ faces }).pipe(
      Layer.provide(Tokens.layerLocal),
      Layer.provideMerge(NodeServer.layer({ port: 0 }))
    )
  ),
  Layer.provide(TaskRuntime.layer),
  Layer.provide([agent, Storage.layer(process.env["STORE"] ?? "")]),
  Layer.launch,
  NodeRuntime.runMain
)
