import { assert, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import * as MemoryTaskBackend from "@perennial/domain/MemoryTaskBackend"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Retention from "@perennial/runtime/Retention"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { counting } from "./support/agents.ts"

const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

it.effect("SCENARIO 9: logs older than `keep` are removed, and reading such a log fails with EventsExpired", () =>
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
      Layer.provideMerge(TaskRuntime.layerMemory),
      Layer.provide(Agents.layer([counting(1)]))
    )
  )))

it.effect("P11: retention removes logs in small steps until none is left, and tries again after an hour if a step fails", () =>
  Effect.gen(function*() {
    const backend = yield* MemoryTaskBackend.make
    const asked: Array<{ readonly finishedFor: Duration.Duration; readonly limit: number }> = []
    const answers = [
      Effect.fail(new TaskBackendError({ operation: "prune", cause: "away" })),
      Effect.die("bug"),
      Effect.succeed(50),
      Effect.succeed(50),
      Effect.succeed(7)
    ]
    const prune: typeof backend.prune = (options) => {
      asked.push(options)
      return answers[asked.length - 1] ?? Effect.succeed(0)
    }
    yield* Layer.build(
      Retention.layer({ keep: "1 day" }).pipe(
        Layer.provide(Layer.succeed(TaskBackend, { ...backend, prune }))
      )
    )
    const hour = 3_600_000
    yield* settle
    assert.strictEqual(asked.length, 1)
    yield* TestClock.adjust(hour)
    yield* settle
    assert.strictEqual(asked.length, 2)
    yield* TestClock.adjust(hour)
    for (let i = 0; i < 5; i++) {
      yield* settle
      yield* TestClock.adjust("10 millis")
    }
    assert.strictEqual(asked.length, 5, "one whole pass, and no further pass within the hour")
    assert.isTrue(asked.every(({ limit }) => limit === 50))
    for (const { finishedFor } of asked) assert.deepStrictEqual(finishedFor, Duration.days(1))
  }).pipe(Effect.scoped))
