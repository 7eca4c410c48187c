/**
 * A server process whose agent has the model of `PERENNIAL_MODEL`, and tools that a test can interrupt. `FILE` is the database,
 * `RUNS` a file to which the tool `note` adds a line.
 *
 * `note` is not safe to repeat. `hold` is, and does not end in the attempt whose number is its argument.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ModelSetting from "@perennial/runtime/ModelSetting"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as ToolProgress from "@perennial/runtime/ToolProgress"
import { Console, Effect, Layer, Option, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { appendFileSync } from "node:fs"
import * as Talker from "./talker.ts"

const { FILE: filename = "", RUNS: runs = "/dev/null" } = process.env

const parameters = Schema.Struct({ n: Schema.Int })
const Note = Tool.make("note", { parameters, success: Schema.String })
const Hold = Tool.make("hold", { parameters, success: Schema.String }).annotate(AgentTools.SafeToRepeat, true)
const tools = Toolkit.make(Note, Hold)

const handlers = tools.toLayer({
  note: ({ n }) => Effect.sync(() => (appendFileSync(runs, `note ${n}\n`), `noted ${n}`)),
  hold: Effect.fnUntraced(function*({ n }) {
    yield* ToolProgress.report(`holding ${n}`)
    const attempt = Option.map(yield* CurrentTask, (task) => task.attempt)
    return Option.contains(attempt, n) ? yield* Effect.never : `held ${n}`
  })
})

const agent = Effect.flatMap(
  ModelSetting.load,
  (setting) =>
    LlmAgent.make({ agentId: "worker", systemPrompt: "You work.", tools, model: ModelSetting.models(setting).model })
).pipe(
  Effect.provide([handlers, NodeServices.layer])
)

Layer.unwrap(Effect.map(agent, (agent) =>
  Layer.effectDiscard(Effect.flatMap(Talker.address, Console.log)).pipe(
    Layer.provide(Talker.layer(agent, SqliteStore.layer({ filename })))
  ))).pipe(
    // The next process takes a task up when the lease of the one that was killed has run out.
    Layer.provide(TaskLimits.layer({ leaseTtl: "3 seconds" })),
    Layer.launch,
    NodeRuntime.runMain
  )
