import { assert, describe, it } from "@effect/vitest"
import { NewId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { AgentTools, ScriptedModel } from "@perennial/runtime"
import * as Testing from "@perennial/runtime/Testing"
import { Effect, Layer, Option, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"

const Slow = Tool.make("slow", { parameters: Schema.Struct({ seconds: Schema.Int }), success: Schema.String })
const toolkit = Toolkit.make(Slow)
const slow = toolkit.toLayer({ slow: ({ seconds }) => Effect.as(Effect.sleep(seconds * 1_000), "at last") })

describe("Testing", () => {
  it.effect("the layer runs a task, with predictable ids", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* manager.start({ message: "Hello" })
      const events = yield* Testing.collect(task.id)
      assert.deepStrictEqual(Testing.brief(events), ["ack", "started", "text Hi.", "message text", "done"])
      const next = yield* yield* NewId
      assert.match(next, /^id-\d{6}$/)
      assert.isTrue(next > task.id)
      const [request] = yield* (yield* ScriptedModel.Script).requests
      assert.deepStrictEqual(request?.prompt.content.map(({ role }) => role), ["system", "user"])
    }).pipe(Effect.provide(Testing.layer({ turns: [["Hi."]] }))))

  it.effect("a tool that sleeps for an hour takes no real time", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "Wait." })
      const called = yield* Testing.waitFor(id, ({ event }) => event.type === "tool_call")
      assert.isTrue(Option.isSome(called))
      assert.isTrue(Option.isNone(yield* Testing.untilEnded(id, { within: "10 seconds" })))
      yield* Testing.adjust("10 minutes")
      const events = yield* Testing.collect(id)
      assert.include(Testing.brief(events), "tool_result slow completed \"at last\"")
    }).pipe(Effect.provide(
      Testing.layer({
        turns: [[{ tool: "slow", params: { seconds: 600 } }], ["Done."]],
        tools: toolkit,
        timeouts: { tool: "1 hour" }
      }).pipe(Layer.provide(slow))
    )))

  it.effect("`untilEnded` waits for a task of five hours without real time", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "Wait." })
      assert.isTrue(Option.isNone(yield* Testing.untilEnded(id, { within: "4 hours" })))
      const ended = yield* Testing.untilEnded(id, { within: "2 hours" })
      assert.strictEqual(Option.getOrThrow(ended).status, "completed")
    }).pipe(Effect.provide(
      Testing.layer({
        turns: [[{ tool: "slow", params: { seconds: 5 * 3_600 } }], ["Done."]],
        tools: toolkit,
        timeouts: { tool: "6 hours" }
      }).pipe(Layer.provide(slow))
    )))

  it.effect("tools can be provided to the layer of a test", () =>
    Effect.gen(function*() {
      const tools = yield* AgentTools.fromToolkit(toolkit)
      const turns = [[{ tool: "slow", params: { seconds: 5 } }], ["Done."]]
      yield* Effect.gen(function*() {
        const { id } = yield* (yield* TaskManager).start({ message: "Wait." })
        const ended = yield* Testing.untilEnded(id)
        assert.strictEqual(Option.getOrThrow(ended).status, "completed")
        assert.isTrue(Option.isNone(yield* Testing.waitFor(id, ({ event }) => event.type === "error")))
      }).pipe(Effect.provide(Testing.layer({ turns, tools })))
    }).pipe(Effect.provide(slow)))

  it.effect("`adjust` also wakes fibers that had not yet begun to sleep", () =>
    Effect.gen(function*() {
      let woken = false
      yield* Effect.forkChild(
        Effect.repeat(Effect.yieldNow, { times: 30 }).pipe(
          Effect.andThen(Effect.sleep("1 second")),
          Effect.andThen(Effect.sync(() => void (woken = true)))
        )
      )
      yield* TestClock.adjust("1 millis")
      yield* Testing.adjust("1 second")
      assert.isTrue(woken)
    }))
})
