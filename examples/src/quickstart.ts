/**
 * The smallest program: start a task, and read its events as they come.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/quickstart.ts
 */
import { TaskManager } from "@perennial/domain/TaskManager"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer, Stream } from "effect"

const agent = LlmAgent.layer({
  agentId: "assistant",
  systemPrompt: "You are a helpful assistant.",
  model: ScriptedModel.layer({ turns: [["Hello, ", "world!"]] })
})

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const task = yield* tasks.start({ message: "Say hello." })
  const events = yield* tasks.events(task.id)
  yield* Stream.runForEach(events, ({ event, seq }) => Console.log(seq, event))
})

await program.pipe(
  Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(agent))),
  Effect.runPromise
)
