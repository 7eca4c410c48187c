/** An agent that delegates to another one, for tests of child tasks: the parent follows a script, the child does what the test says. */
import { type Agent, make } from "@perennial/domain/Agent"
import type { TaskContext } from "@perennial/domain/CurrentTask"
import { userText } from "@perennial/domain/Message"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import { type Duration, Effect, Latch, Layer, type Option, Queue, Struct } from "effect"

/** The tokens that each run of the child uses. */
export const childUsage = { ...zero, requests: 1, inputTokens: 30, outputTokens: 10 }

const answer = (text: string): AgentEvent => ({
  type: "message",
  message: { role: "assistant", content: [{ type: "text", text }] },
  usage: childUsage
})

/** A call of the researcher in a script. */
export const ask = (message: string, id = message): ScriptedModel.Action => ({
  tool: "researcher",
  params: { message },
  id
})

/** An agent that waits until `release` is open, and then answers with its message in capitals. */
export const makeResearcher = Effect.gen(function*() {
  const begun = yield* Queue.unbounded<TaskContext>()
  const stopped = yield* Queue.unbounded<Option.Option<string>>()
  const release = yield* Latch.make(false)
  const agent = make("researcher", (input, emit) =>
    Effect.gen(function*() {
      const done = input.journal.some(({ event }) => event.type === "message")
      const asked = input.history.findLast(({ role }) => role === "user") ?? userText("")
      yield* Queue.offer(begun, input.task)
      if (!done) {
        yield* Effect.onInterrupt(release.await, () =>
          Effect.flatMap(input.task.stopReason, (reason) => Queue.offer(stopped, reason)))
        yield* emit([answer(JSON.stringify(asked.content).toUpperCase())])
      }
      return { usage: childUsage }
    }))
  return { agent, begun, release, stopped }
})

/** Each turn belongs to its place in the conversation: a process that makes an attempt again gets the same turn. */
const placed = (turns: ReadonlyArray<ScriptedModel.Turn>): ScriptedModel.ScriptOptions => ({
  otherwise: ({ prompt: { content } }) =>
    turns[content.filter(({ role }) => role === "assistant").length] ?? ["There is no turn for this place."]
})

/** An agent with a scripted model and the researcher as its tool. With `placed`, its owner may die before an answer is stored. */
export const makeWriter = Effect.fnUntraced(function*(
  turns: ReadonlyArray<ScriptedModel.Turn>,
  config: Partial<LlmAgent.AgentConfig> = {},
  options: { readonly timeout?: Duration.Input; readonly placed?: boolean } = {}
) {
  const model = yield* Layer.build(ScriptedModel.layer(options.placed === true ? placed(turns) : { turns }))
  const agent: Agent = yield* LlmAgent.make({
    agentId: "writer",
    systemPrompt: "Write.",
    tools: AgentTools.agent("researcher", { description: "Finds facts.", ...Struct.omit(options, ["placed"]) }),
    ...config
  }).pipe(Effect.provide(model))
  return agent
})
