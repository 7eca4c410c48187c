import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import { DemoModel, LlmAgent } from "@perennial/runtime"
import { Clock, Effect, Fiber, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { adjust, type AgentTask, messagesOf, startAgent } from "./support/agentTask.ts"

const Tools = Toolkit.make(
  Tool.make("wait", { parameters: Schema.Struct({ seconds: Schema.Finite }), success: Schema.String }),
  Tool.make("send_note", { parameters: Schema.Struct({ text: Schema.String }), success: Schema.String })
)
const handlers = Tools.toLayer({
  wait: ({ seconds }) => Effect.as(Effect.sleep(seconds * 1000), "waited"),
  send_note: () => Effect.as(Effect.sleep("2 seconds"), "sent")
})
const config = { agentId: "demo", systemPrompt: "", model: DemoModel.layer }

const finish = Effect.fnUntraced(function*(run: AgentTask) {
  const started = yield* Clock.currentTimeMillis
  while (run.fiber.pollUnsafe() === undefined) yield* adjust("250 millis")
  yield* Fiber.join(run.fiber)
  return (yield* Clock.currentTimeMillis) - started
})

describe("DemoModel", () => {
  it.effect("answers for half a minute, calls a safe and an unsafe tool, and answers the next message", () =>
    Effect.gen(function*() {
      const agent = yield* LlmAgent.make({ ...config, tools: Tools })
      const run = yield* startAgent(agent)
      const millis = yield* finish(run)
      assert.isAtLeast(millis, 25_000)
      assert.isAtMost(millis, 35_000)
      assert.deepStrictEqual(run.events("tool_result").map((event) => [event.tool, event.status]), [
        ["wait", "completed"],
        ["send_note", "completed"]
      ])
      const texts = run.events("message").map(({ message }) => Message.text(message))
      assert.include(texts[0], "scripted model")
      const before = [Message.userText("hi"), ...messagesOf(run.log)]
      const next = yield* startAgent(agent, { before, message: "And now?" })
      yield* finish(next)
      assert.include(next.events("message").map(({ message }) => Message.text(message)).join(), "And now?")
      assert.deepStrictEqual(next.events("tool_call"), [])
    }).pipe(Effect.provide(handlers)))

  it.effect("calls only tools of the request", () =>
    Effect.gen(function*() {
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* finish(run)
      assert.deepStrictEqual(run.events("tool_call"), [])
      assert.strictEqual(run.events("message").length, 1)
    }))
})
