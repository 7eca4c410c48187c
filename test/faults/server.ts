/**
 * A server process of the fault harness: the layers of `evergreen`, with short leases, a model that follows the plan in
 * the user's message, and a ledger of what really happened.
 */
import { NodeRuntime } from "@effect/platform-node"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as Retention from "@perennial/runtime/Retention"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Cause, Config, Console, Duration, Effect, Exit, Layer, Option, Redacted, Runtime, Schema } from "effect"
import { type Prompt, Tool, Toolkit } from "effect/ai"
import { HttpServer } from "effect/http"
import * as Engine from "../support/engine.ts"
import * as Storage from "../support/storage.ts"
import * as Ledger from "./ledger.ts"
import * as Page from "./page.ts"
import * as Plan from "./plan.ts"

const settings = Config.all({
  store: Config.String("STORE"),
  port: Config.Int("PORT"),
  ledger: Config.String("LEDGER"),
  leaseMillis: Config.Int("LEASE_MILLIS"),
  capacity: Config.Int("CAPACITY"),
  /** In seconds. */
  clockAhead: Config.Int("CLOCK_AHEAD")
})

type Write = ReturnType<typeof Ledger.writer>

/** Writes down who owns what, and which writes are refused. */
const watched = (backend: TaskBackend["Service"], write: Write): TaskBackend["Service"] => ({
  ...backend,
  claim: (id, options) =>
    Effect.tap(
      backend.claim(id, options),
      (claim) =>
        Option.isSome(claim) ? write({ type: "claimed", taskId: id, attempt: claim.value.attempt }) : Effect.void
    ),
  append: (batch) =>
    Effect.tap(backend.append(batch), (results) => {
      const refused = batch.filter((_, i) => results[i]?.ok !== true)
      return Effect.forEach(refused, ({ claim }) => write({ type: "refused", taskId: claim.taskId }))
    }),
  finish: (claim, events) =>
    backend.finish(claim, events).pipe(
      Effect.tap(write({ type: "finished", taskId: claim.taskId })),
      Effect.tapError((error) =>
        error._tag === "LeaseLost" ? write({ type: "refused", taskId: claim.taskId }) : Effect.void
      )
    ),
  release: (claim, options) =>
    Effect.tap(backend.release(claim, options), write({ type: "released", taskId: claim.taskId }))
})

const parameters = Schema.Struct({ call: Schema.String, millis: Schema.Int })
const Lookup = Tool.make("lookup", { parameters, success: Schema.String }).annotate(AgentTools.SafeToRepeat, true)
const Pay = Tool.make("pay", { parameters, success: Schema.String })
const Echo = Tool.make("echo", {
  parameters: Schema.Struct({ value: Schema.Unknown, result: Plan.Shape }),
  success: Schema.Unknown
})
const toolkit = Toolkit.make(Lookup, Pay, Echo)

const task = Effect.map(CurrentTask, Option.getOrThrow)

const tools = (write: Write) => {
  const run = (tool: string) =>
    Effect.fnUntraced(function*({ call, millis }: typeof parameters.Type) {
      const { attempt, taskId } = yield* task
      yield* write({ type: "entered", taskId, attempt, tool, call })
      yield* Effect.onExit(Effect.sleep(Duration.millis(millis)), (exit) =>
        write({ type: "left", taskId, attempt, call, how: Exit.isSuccess(exit) ? "completed" : "interrupted" }))
      return call
    })
  return AgentTools.fromToolkit(toolkit).pipe(
    Effect.provide(toolkit.toLayer({
      lookup: run("lookup"),
      pay: run("pay"),
      echo: ({ result }) => Effect.sync(() => Plan.toValue(result))
    }))
  )
}

/** The text of the newest message of the user, and how many answers it has got. */
const newest = (prompt: Prompt.Prompt) => {
  const last = prompt.content.findLastIndex(({ role }) => role === "user")
  const user = prompt.content[last]
  const text = user?.role === "user" ? user.content.flatMap((part) => part.type === "text" ? [part.text] : []) : []
  return {
    text: text.join(""),
    step: prompt.content.slice(last).filter(({ role }) => role === "assistant").length
  }
}

const die = (write: Write) =>
  Effect.flatMap(task, ({ taskId }) => write({ type: "dying", taskId })).pipe(
    Effect.andThen(Effect.sync(() => process.kill(process.pid, "SIGKILL")))
  )

const model = (write: Write) =>
  ScriptedModel.layer({
    otherwise: ({ prompt }) => {
      const { step, text } = newest(prompt)
      const plan = Plan.fromText(text)
      if (plan === undefined) return [`I have no plan for this: ${text}`]
      const asked = Effect.flatMap(task, ({ attempt, taskId }) => write({ type: "asked", taskId, attempt, step }))
      const words = Array.from({ length: plan.words }, (_, i) => Plan.word(process.pid, step, i, plan.words, plan.pad))
      const calls = plan.steps[step] ?? []
      return [
        { run: asked },
        { drip: Duration.millis(plan.drip) },
        ...words,
        ...plan.fatal === true ? [{ run: die(write) }] : [],
        ...calls.map((call, i) => {
          const { child: message = "", id = Plan.callId(plan, step, i), millis, tool } = call
          if (tool === "delegate") return { tool, id, params: { message } }
          return { tool, id, params: tool === "echo" ? Plan.echoed(call) : { call: id, millis } }
        })
      ]
    }
  })

const agents = (write: Write) =>
  Layer.unwrap(Effect.map(tools(write), (tools) =>
    LlmAgent.layer({
      agentId: "faults",
      systemPrompt: "Follow the plan.",
      maxIterations: 10_000,
      tools: AgentTools.merge(
        tools,
        AgentTools.agent("faults", { name: "delegate", description: "Does another plan." })
      ),
      model: model(write)
    })))

const server = Effect.map(settings, ({ capacity, clockAhead, leaseMillis, ledger, port, store }) => {
  const write = Ledger.writer(ledger, clockAhead * 1_000)
  const storage = Storage.layer(store)
  return Server.layer({ handOver: true, publicUrl: Page.origin, faces: [AiSdk.face, OpenAi.face, LangGraph.face] })
    .pipe(
      Layer.provide(Tokens.layer([{ userId: Page.userId, secret: Redacted.make(Page.token) }])),
      Layer.provideMerge(NodeServer.layer({ port })),
      Layer.provide(TaskRuntime.layerWithEngine(Engine.layer(store))),
      Layer.provide(agents(write)),
      // All logs of a run are younger than a log that may be removed.
      Layer.provide(Retention.layer({ interval: "1 second" })),
      Layer.provide(Layer.effect(TaskBackend, Effect.map(TaskBackend, (backend) => watched(backend, write)))),
      Layer.provide(storage),
      Layer.provide(TaskLimits.layer({ capacity, leaseTtl: leaseMillis }))
    )
})

const greeting = Effect.flatMap(HttpServer.HttpServer, ({ address }) => {
  const said = HttpServer.formatAddress(address)
  return process.send === undefined ? Console.log(said) : Effect.sync(() => process.send?.(said))
})

// Started by the harness: it must not leave servers behind, however it ends.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))

NodeRuntime.runMain(Layer.launch(Layer.effectDiscard(greeting).pipe(Layer.provide(Layer.unwrap(server)))), {
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
})
