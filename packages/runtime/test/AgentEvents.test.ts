import { assert, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Stream } from "effect"
import { nested } from "./support/agentToolkit.ts"

// Untyped code can emit such events.
const wrongEvents = [
  { type: "message", usage: zero },
  { type: "tool_result", tool: "t", toolCallId: "c", status: "completed" },
  { type: "text" },
  { type: "done", usage: zero },
  { type: "nonsense" }
] as ReadonlyArray<unknown> as ReadonlyArray<AgentEvent>

it.effect.each(wrongEvents)(
  "an invalid event ends the task with InvalidEvent, and is not written: %o",
  (wrong) =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      const log = yield* Stream.runCollect(yield* manager.events(id))
      assert.deepStrictEqual(log.map(({ event }) => event.type), ["ack", "started", "error"])
      const last = log.at(-1)?.event
      assert.isTrue(last?.type === "error" && last.error === "InvalidEvent")
    }).pipe(Effect.provide(
      TaskRuntime.layerMemory.pipe(
        Layer.provide(Agents.layer([make("untyped", (_, emit) => Effect.as(emit([wrong]), { usage: zero }))]))
      )
    ))
)

it.effect("P8: an event with JSON that is nested too deep ends the task with InvalidEvent, and is not written", () =>
  Effect.gen(function*() {
    const manager = yield* TaskManager
    const { id } = yield* manager.start({ message: "x" })
    const log = yield* Stream.runCollect(yield* manager.events(id))
    assert.deepStrictEqual(log.map(({ event }) => event.type), ["ack", "started", "error"])
    const last = log.at(-1)?.event
    assert.isTrue(last?.type === "error" && last.error === "InvalidEvent")
  }).pipe(Effect.provide(
    TaskRuntime.layerMemory.pipe(
      Layer.provide(Agents.layer([
        make(
          "deep",
          (_, emit) => Effect.as(emit([{ type: "data", name: "deep", data: nested(12_000) }]), { usage: zero })
        )
      ]))
    )
  )))
