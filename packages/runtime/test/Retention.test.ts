import { assert, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import * as Retention from "@perennial/runtime/Retention"
import { TaskManager } from "@perennial/runtime/TaskManager"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { counting } from "./support/agents.ts"

const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

it.effect("SCENARIO 9: logs older than asked for are removed, and reading one says so", () =>
  Effect.gen(function*() {
    const manager = yield* TaskManager
    const tasks = yield* Effect.forEach(Array.from({ length: 120 }), () => manager.start({ message: "x" }))
    yield* Effect.forEach(tasks, (task) => manager.await(task.id))
    yield* TestClock.adjust("50 seconds")
    const [first] = tasks
    if (first === undefined) return assert.fail("no task")
    assert.strictEqual((yield* manager.await(first.id)).task.status, "completed")
    yield* TestClock.adjust("20 seconds")
    yield* settle
    for (const { id } of tasks) assert.strictEqual((yield* Effect.flip(manager.events(id)))._tag, "EventsExpired")
    assert.strictEqual((yield* manager.get(first.id)).status, "completed")
  }).pipe(Effect.provide(
    Retention.layer({ keep: "1 minute", interval: "1 second" }).pipe(
      Layer.provideMerge(TaskManager.layerMemory),
      Layer.provide(Agents.layer([counting(1)]))
    )
  )))
