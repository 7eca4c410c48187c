/**
 * A server process whose agent calls tools. Its store is the URL of `STORE`, or the database file of `FILE`. The tools write
 * a line into the file of `RUNS` when they begin and when they end, so that a test knows which calls really ran.
 *
 * The message `steps 50` makes 50 steps, each with an unsafe call `once-<n>` and a safe call `again-<n>`. `hold` makes one
 * unsafe call that does not end. `ask` makes one call that needs approval. The process begins at most as many steps as `STEPS`
 * says: the model does not answer then, so that a test that is late with a kill finds the task running. With a `CAPACITY` of 0
 * the server executes no task. `LEASE_MILLIS` is the length of its lease.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as ToolProgress from "@perennial/runtime/ToolProgress"
import { Console, Duration, Effect, Layer, Schema } from "effect"
import { type Prompt, Tool, Toolkit } from "effect/ai"
import { appendFileSync } from "node:fs"
import * as Storage from "./storage.ts"
import * as Talker from "./talker.ts"

const filename = process.env["FILE"] ?? ":memory:"
const shared = process.env["STORE"]
const runs = process.env["RUNS"] ?? "/dev/null"
let stepsLeft = Number(process.env["STEPS"] ?? Number.POSITIVE_INFINITY)

const parameters = Schema.Struct({ n: Schema.Int })
const Once = Tool.make("once", { parameters, success: Schema.String })
const Again = Tool.make("again", { parameters, success: Schema.String }).annotate(AgentTools.SafeToRepeat, true)
const Hold = Tool.make("hold", { success: Schema.String })
const Ask = Tool.make("ask", { parameters, success: Schema.String, needsApproval: true })
const tools = Toolkit.make(Once, Again, Hold, Ask)

const note = (line: string) => Effect.sync(() => appendFileSync(runs, `${line}\n`))

/** The sleep is long enough that a process is often killed during a call. */
const work = (_: unknown, { toolCallId }: { readonly toolCallId?: string | undefined }) =>
  note(`begin ${toolCallId}`).pipe(
    Effect.andThen(Effect.sleep("10 millis")),
    Effect.andThen(note(`end ${toolCallId}`)),
    Effect.as(`did ${toolCallId}`)
  )

const handlers = tools.toLayer({
  once: work,
  again: work,
  hold: () => note("begin hold").pipe(Effect.andThen(ToolProgress.report("holding")), Effect.andThen(Effect.never)),
  ask: ({ n }) => Effect.as(note(`ask ${n}`), `did ${n}`)
})

const textOf = (message: Prompt.Message | undefined): string =>
  message?.role === "user"
    ? message.content.map((part) => part.type === "text" ? part.text : "").join("")
    : ""

/** The next answer of the model, if there is one. It depends only on the conversation, so that a crash does not change it. */
const turn = ({ content }: Prompt.Prompt): ScriptedModel.Turn => {
  const from = content.findLastIndex((message) => message.role === "user")
  const said = content.slice(from).filter((message) => message.role === "assistant").length
  const [what, count] = textOf(content[from]).split(" ")
  if (what === "steps" && said < Number(count)) {
    if (stepsLeft-- <= 0) return [{ never: true }]
    const n = said + 1
    return [
      { drip: "1 millis" },
      "Step ",
      `${n}. `,
      { tool: "once", params: { n }, id: `once-${n}` },
      { tool: "again", params: { n }, id: `again-${n}` }
    ]
  }
  if (said === 0 && what === "hold") return [{ tool: "hold", id: "hold" }]
  if (said === 0 && what === "ask") return [{ tool: "ask", params: { n: 1 }, id: "ask" }]
  return ["All is done."]
}

const agent = LlmAgent.make({
  agentId: "worker",
  systemPrompt: "You work.",
  tools,
  maxIterations: 1_000,
  model: ScriptedModel.layer({ otherwise: ({ prompt }) => turn(prompt) })
}).pipe(Effect.provide(handlers))

const file = SqliteStore.layer({ filename })
const limits = TaskLimits.layer({
  capacity: Number(process.env["CAPACITY"] ?? TaskLimits.defaults.capacity),
  leaseTtl: Number(process.env["LEASE_MILLIS"] ?? Duration.toMillis(TaskLimits.defaults.leaseTtl))
})

const run = <E>(store: Layer.Layer<TaskBackend | ConversationStore, E>): void =>
  Layer.unwrap(
    Effect.map(agent, (agent) =>
      Layer.effectDiscard(Effect.flatMap(Talker.address, Console.log)).pipe(Layer.provide(Talker.layer(agent, store))))
  ).pipe(
    Layer.provide(limits),
    Layer.launch,
    NodeRuntime.runMain
  )

if (shared === undefined) run(file)
else run(Storage.layer(shared))
