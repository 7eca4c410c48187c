/**
 * A runner of a cluster over the PostgreSQL of `STORE`, for the contract of engines: `AGENTS` names its agents. Each asks the
 * address of `GATE` whether it may answer, so that the test knows who executes what and decides when it goes on. A user's
 * message `cling` makes an agent that cannot be interrupted; the agent `waits` asks the agent `agent`, and waits for its answer.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Agents, make } from "@perennial/domain/Agent"
import * as Message from "@perennial/domain/Message"
import { zero } from "@perennial/domain/Usage"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer } from "effect"
import * as Engine from "../support/engine.ts"
import * as Storage from "../support/storage.ts"

const store = process.env["STORE"] ?? ""
const gate = process.env["GATE"] ?? ""
const [firstAgent = "agent", ...otherAgents] = (process.env["AGENTS"] ?? "agent").split(",")

/** How many attempts are made in this process. */
let atOnce = 0

/** Answers when the test opens the gate of the task. */
const pass = (taskId: string, attempt: number, isAnswered: boolean) =>
  Effect.promise(async (signal) => {
    const what = isAnswered ? "answered" : "waiting"
    await fetch(`${gate}/${taskId}/${attempt}/${process.pid}/${atOnce}/${what}`, { signal })
  })

const controlled = (agentId: string) =>
  make(agentId, ({ history, journal, task: { attempt, taskId } }, emit) =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(Effect.sync(() => atOnce++), () => Effect.sync(() => atOnce--))
      const isAnswered = journal.some(({ event }) => event.type === "message")
      if (isAnswered) yield* pass(taskId, attempt, isAnswered)
      else {
        yield* emit([{ type: "text", content: "thinking " }])
        const clings = Message.text(history.at(-1) ?? Message.userText("")) === "cling"
        yield* (clings ? Effect.uninterruptible : Effect.interruptible)(pass(taskId, attempt, isAnswered))
        yield* emit([{
          type: "message",
          message: { role: "assistant", content: [{ type: "text", text: "done" }] },
          usage: zero
        }])
      }
      return { usage: zero }
    }).pipe(Effect.scoped))

const waits = LlmAgent.make({
  agentId: "waits",
  systemPrompt: "Ask the agent.",
  tools: AgentTools.agent("agent", { description: "Answers." }),
  model: ScriptedModel.layer({
    otherwise: ({ prompt }) =>
      prompt.content.some(({ role }) => role === "tool")
        ? ["done"]
        : [{ tool: "agent", params: { message: "inner" }, id: "inner" }]
  })
})

const agents = Layer.unwrap(Effect.map(waits, (waits) => {
  const toAgent = (id: string) => id === waits.agentId ? waits : controlled(id)
  return Agents.layer([toAgent(firstAgent), ...otherAgents.map(toAgent)])
}))

// The test waits for this line.
const ready = Layer.effectDiscard(Console.log(`A runner listens on http://127.0.0.1:${process.env["RUNNER_PORT"]}`))

ready.pipe(
  Layer.provide(TaskRuntime.layerWithEngine(Engine.layer(store))),
  Layer.provide([agents, Storage.layer(store)]),
  Layer.provide(TaskLimits.layer({
    capacity: Number(process.env["CAPACITY"] ?? 100),
    leaseTtl: "6 seconds",
    cancelGrace: "1 second"
  })),
  Layer.launch,
  NodeRuntime.runMain
)
