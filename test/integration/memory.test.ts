import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Duration, Effect, Layer, Stream } from "effect"
import { heapBytes } from "../support/heap.ts"
import { stores } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

describe.each(stores)("memory, on %s", (name, store) => {
  const count = 1_000

  it.live("SCENARIO 15, P11: after the end of watched tasks only their records stay in memory", (context) =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const backend = yield* TaskBackend
      const one = Effect.gen(function*() {
        const task = yield* manager.start({ message: "t 100" })
        yield* Stream.runDrain(yield* manager.events(task.id))
      })
      const tasks = (n: number) =>
        Effect.forEach(Array.from({ length: n }), () => one, { concurrency: 50, discard: true })
      const forget = Effect.gen(function*() {
        // The memory store keeps all logs unless they are pruned.
        if (name !== "memory") return
        while ((yield* backend.prune({ finishedFor: Duration.zero, limit: 1_000 })) > 0);
      })
      yield* tasks(count / 5)
      yield* forget
      const before = yield* heapBytes
      yield* tasks(count)
      yield* forget
      const kibibytes = ((yield* heapBytes) - before) / 1_024 / count
      yield* Effect.promise(() => context.annotate(`each task leaves ${kibibytes.toFixed(1)} KiB on the heap`))
      // The events of a task have more than 30 KiB. The memory store has the records of tasks on the heap.
      assert.isBelow(kibibytes, name === "memory" ? 6 : 2)
    }).pipe(Effect.provide(
      TaskRuntime.layer.pipe(
        Layer.provide(Agents.layer([Talker.makeTalker(25).agent])),
        Layer.provideMerge(store),
        // The cache keeps pages up to this size after the end of a task.
        Layer.provide(
          TaskLimits.layer({ pageCacheBytes: 1_048_576 })
        )
      )
    )))
})
