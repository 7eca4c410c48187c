/**
 * Claude with a tool of the application. Tasks are kept in an SQLite file.
 *
 *     ANTHROPIC_API_KEY=... npx -y pnpm@12.21.0 exec node examples/src/claude.ts "Do I need an umbrella in Oslo?"
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"

const Weather = Tool.make("weather", {
  description: "Tells the weather in a city.",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String
})
const tools = Toolkit.make(Weather)

const agent = LlmAgent.layer({
  agentId: "assistant",
  systemPrompt: "You are a helpful assistant.",
  model: AnthropicModel.layerConfig(),
  tools
}).pipe(Layer.provide(tools.toLayer({ weather: ({ city }) => Effect.succeed(`It rains in ${city}.`) })))

const live = TaskRuntime.layer.pipe(Layer.provide([agent, SqliteStore.layer({ filename: ".perennial/claude.db" })]))

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const { id } = yield* tasks.start({ message: process.argv[2] ?? "Do I need an umbrella in Oslo?" })
  yield* Stream.runForEach(yield* tasks.events(id), ({ event, seq }) => Console.log(seq, event))
})

NodeRuntime.runMain(Effect.provide(program, live))
