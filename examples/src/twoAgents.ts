/**
 * Two agents in one conversation: the second agent reads what the first agent wrote.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/twoAgents.ts
 */
import { Agents } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer } from "effect"

const scripted = (answer: string) => ScriptedModel.layer({ otherwise: () => [answer] })

const agents = Agents.layerEffect([
  LlmAgent.make({ agentId: "writer", systemPrompt: "You write.", model: scripted("Green leaves, slow years.") }),
  LlmAgent.make({ agentId: "critic", systemPrompt: "You judge.", model: scripted("Short, and true.") })
])

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const ask = (agentId: string, message: string) =>
    tasks.start({ agentId, conversationId: "poem", message }).pipe(
      Effect.flatMap(({ id }) => tasks.await(id)),
      Effect.flatMap(({ message }) => Console.log(agentId, message?.content))
    )
  yield* ask("writer", "Write a poem about a tree.")
  yield* ask("critic", "Judge the poem.")
})

await Effect.runPromise(Effect.provide(program, Layer.provide(TaskRuntime.layerMemory, agents)))
