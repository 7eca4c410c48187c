import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@perennial/domain/Agent"
import { type Message, userText } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Fiber, Layer, Schema } from "effect"
import { AiError } from "effect/ai"
import { adjust, messagesOf, startAgent, task } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"
import { problemOfPrompt } from "./support/anthropicPrompt.ts"

/** Actions of a model, right and wrong ones. Some of them do not end by themselves. */
const actions: { readonly [name: string]: ScriptedModel.Action } = {
  text: "some text ",
  blank: " ",
  thinking: { thinking: ["h", "m"] },
  ok: { tool: "weather", params: { city: "Oslo" } },
  fails: { tool: "weather", params: { city: "Atlantis" } },
  invalid: { tool: "weather", params: "{\"ci" },
  unknown: { tool: "nope" },
  dotted: { tool: "other.tool", id: "functions.other:0" },
  dotless: { tool: "other_tool", id: "functions_other_0" },
  silent: { tool: "silent" },
  repeated: { tool: "weather", params: { city: "Rome" }, id: "same" },
  crash: { tool: "crash" },
  slow: { tool: "slow", params: { millis: 60_000 } },
  safe: { tool: "safe_slow", params: { millis: 60_000 } },
  approval: { tool: "delete", params: { id: 50 } },
  never: { never: true },
  overloaded: { fail: new AiError.InternalProviderError({ description: "Overloaded" }) },
  refused: { finish: "content-filter" },
  length: { finish: "length" }
}

const Turn = Schema.Array(Schema.Literals(Object.keys(actions))).check(Schema.isMaxLength(5))

/** The answers of the model to one message of the user, and how the task is interrupted. */
const Exchange = Schema.Struct({
  turns: Schema.Array(Turn).check(Schema.isMaxLength(3)),
  /** The number of events after which the task is interrupted. A task with fewer events is interrupted when it waits. */
  cutAfter: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
  /** Whether a second attempt continues the task before it is cancelled. */
  crashes: Schema.Boolean,
  /** The number of last messages that are missing, as after an incomplete import of the conversation. */
  lost: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
})

const toTurn = (names: ReadonlyArray<string>): ScriptedModel.Turn => names.map((name) => actions[name] ?? name)

/** Runs an attempt, and interrupts it like a crash after one second: enough for retries, but not for slow tools. */
const attempt = Effect.fnUntraced(function*(agent: Agent, options: Parameters<typeof startAgent>[1]) {
  const run = yield* startAgent(agent, options)
  yield* adjust("1 second")
  yield* Fiber.interrupt(run.fiber)
  return run.log
})

/** The log after the task was cancelled at this point. */
const ended = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<StoredEvent> => [
  ...log,
  ...Settlement.settle(log, task, { status: "cancelled" }).map((event, i) => ({
    seq: log.length + 1 + i,
    at: 0,
    event
  }))
]

describe("SCENARIO 21: requests to the model in a conversation of interrupted tasks", () => {
  it.effect.prop(
    "P7, P10: the API accepts every request, and the next message is answered",
    [Schema.Array(Exchange).check(Schema.isMaxLength(3))],
    ([exchanges]) => {
      let turns: Array<ScriptedModel.Turn> = []
      const model = ScriptedModel.layer({ otherwise: () => turns.shift() ?? ["fine"] })
      return Effect.gen(function*() {
        const agent = yield* LlmAgent.make({ agentId: "a", systemPrompt: "", tools: Tools })
        const before: Array<Message> = []
        for (const exchange of exchanges) {
          turns = exchange.turns.map(toTurn)
          let log: ReadonlyArray<StoredEvent> = yield* attempt(agent, { before, stopAfter: exchange.cutAfter })
          if (exchange.crashes) log = yield* attempt(agent, { before, log })
          const messages = messagesOf(ended(log))
          before.push(userText("hi"), ...messages.slice(0, messages.length - exchange.lost))
        }
        turns = []
        const last = yield* startAgent(agent, { before, message: "next" })
        yield* Fiber.join(last.fiber)
        for (const { prompt } of yield* (yield* ScriptedModel.Script).requests) {
          assert.isUndefined(problemOfPrompt(prompt))
        }
      }).pipe(Effect.provide(Layer.provideMerge(toolsLayer, model)))
    },
    { arbitrary: { runs: 500 }, timeout: 240_000 }
  )
})
