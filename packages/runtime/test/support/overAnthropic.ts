/** Runs a task with the real SDK and the fake API, and summarizes its log. */
import { assert } from "@effect/vitest"
import type { Agents } from "@perennial/domain/Agent"
import { text as textOf } from "@perennial/domain/Message"
import type { StartInput } from "@perennial/domain/StartInput"
import type { StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger, Redacted, Stream } from "effect"
import { view } from "./agentTask.ts"
import { type Effects, Tools, toolsLayer } from "./agentToolkit.ts"

const { FakeAnthropic } = Fake

const quiet = Logger.layer([])

const agents = Layer.unwrap(Effect.map(FakeAnthropic, ({ url }) =>
  LlmAgent.layer({
    agentId: "agent-1",
    systemPrompt: "Be brief.",
    tools: Tools,
    retry: { baseDelay: "1 millis" },
    model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url })
  })))

export const env: Layer.Layer<TaskManager | Fake.FakeAnthropic | Effects> = TaskRuntime.layerMemory.pipe(
  Layer.provide([agents, quiet]),
  Layer.provideMerge(Layer.mergeAll(FakeAnthropic.layer, toolsLayer)),
  Layer.orDie
)

/** Starts a task, waits for its end, and returns its log. */
export const runInput = Effect.fnUntraced(function*(input: StartInput) {
  const manager = yield* TaskManager
  const { id } = yield* manager.start(input)
  const log = yield* Stream.runCollect(yield* manager.events(id))
  assert.deepStrictEqual(log.map(({ seq }) => seq), log.map((_, at) => at + 1))
  assert.strictEqual(view(log).text, "")
  return log
})

export const run = runInput({ message: "hi" })

/** Like `runInput`, with other agents. */
export const runWith = <E, R>(agents: Layer.Layer<Agents, E, R>, input: StartInput = { message: "hi" }) =>
  Effect.provide(runInput(input), TaskRuntime.layerMemory.pipe(Layer.provide([agents, quiet])))

export const eventOf = <Type extends TaskEvent["type"]>(log: ReadonlyArray<StoredEvent>, type: Type) =>
  log.flatMap(({ event }) => event.type === type ? [event as Extract<TaskEvent, { readonly type: Type }>] : [])

export interface Summary {
  readonly messages: ReadonlyArray<string>
  readonly retries: ReadonlyArray<string>
  readonly end: string | undefined
}

/** The messages of a log, the reasons of its retries, and its end. */
export const summary = (log: ReadonlyArray<StoredEvent>): Summary => {
  const last = log.at(-1)?.event
  return {
    messages: eventOf(log, "message").map(({ message, partial }) =>
      `${partial === true ? "partial: " : ""}${textOf(message)}`
    ),
    retries: eventOf(log, "retry").map(({ reason }) => reason),
    end: last?.type === "error" ? `error ${last.error}` : last?.type
  }
}
