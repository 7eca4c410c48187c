/** `LlmAgent` in a world. Its model reads in the user's message which steps to take, as a model reads what it is asked for. */
import type { Agents } from "@perennial/domain/Agent"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import { Effect, Layer, Option, Schema } from "effect"
import { type Prompt, Tool, Toolkit } from "effect/ai"
import type { AgentStep } from "./plan.ts"
import { agentId, approvalMillis, type Deed, type Options } from "./scriptedAgent.ts"

const Params = Schema.Struct({ millis: Schema.Natural, tidyMillis: Schema.Natural, asks: Schema.Boolean })

const tools = Toolkit.make(
  Tool.make("look", { parameters: Params, success: Schema.String }).annotate(AgentTools.SafeToRepeat, true),
  Tool.make("pay", { parameters: Params, success: Schema.String })
)

/** The steps of each answer of the model: an answer ends with the calls of a step, and the last answer has none. */
const answersOf = (steps: ReadonlyArray<AgentStep>): ReadonlyArray<ReadonlyArray<AgentStep>> => {
  const answers: Array<Array<AgentStep>> = [[]]
  for (const step of steps) {
    answers.at(-1)?.push(step)
    if (step.type !== "say") answers.push([])
  }
  return answers
}

const textOf = (message: Prompt.Message | undefined): string =>
  message?.role === "user" ? message.content.map((part) => part.type === "text" ? part.text : "").join("") : ""

/** What the model says in its answer number `at`. */
const turnOf = (step: AgentStep, at: number): ScriptedModel.Turn => {
  if (step.type === "say") {
    return Array.from({ length: step.words }, (_, word) => [{ sleep: step.millis }, `${word} `]).flat()
  }
  const call = step.type === "ask"
    ? { tool: "ask", params: { message: JSON.stringify(step.steps) } }
    : { tool: step.tool, params: step }
  return Array.from({ length: step.calls }, (_, i) => ({ ...call, id: `${at}.${i}` }))
}

export const layer = ({ process, record }: Options): Layer.Layer<Agents> => {
  const deed = (type: Deed["type"], call: string, tool: string) =>
    Effect.flatMap(
      CurrentTask,
      Option.match({
        onNone: () => Effect.die("no task"),
        onSome: ({ attempt, taskId }) => Effect.sync(() => record({ type, call, tool, process, taskId, attempt }))
      })
    )

  const answer = ({ prompt: { content } }: ScriptedModel.ScriptedRequest): ScriptedModel.Turn => {
    const asked = content.findLastIndex(({ role }) => role === "user")
    const at = content.slice(asked).filter(({ role }) => role === "assistant").length
    // The message comes from a plan.
    const steps = answersOf(JSON.parse(textOf(content[asked])) as ReadonlyArray<AgentStep>)[at] ?? []
    return [
      { run: deed("asked", String(at), "model") },
      ...(steps.length === 0 ? ["done"] : steps.flatMap((step) => turnOf(step, at)))
    ]
  }

  const use =
    (tool: string) =>
    ({ millis, tidyMillis }: typeof Params.Type, { toolCallId = "" }: { readonly toolCallId?: string | undefined }) =>
      Effect.andThen(
        deed("entered", toolCallId, tool),
        Effect.sleep(millis).pipe(
          Effect.onInterrupt(() => Effect.sleep(tidyMillis)),
          Effect.ensuring(deed("left", toolCallId, tool)),
          Effect.as("done")
        )
      )

  const agent = Effect.map(AgentTools.fromToolkit(tools), (own) =>
    LlmAgent.layer({
      agentId,
      systemPrompt: "Do what you are asked for.",
      tools: AgentTools.merge(
        own,
        AgentTools.agent(agentId, { name: "ask", description: "Does what it is asked for." })
      ),
      approval: {
        // The arguments come from a plan.
        required: ({ args, tool }) => Effect.succeed(tool !== "ask" && (args as typeof Params.Type).asks),
        timeout: approvalMillis
      }
    }))
  return Layer.unwrap(agent).pipe(
    Layer.provide([
      ScriptedModel.layer({ otherwise: answer }),
      tools.toLayer({ look: use("look"), pay: use("pay") })
    ])
  )
}
