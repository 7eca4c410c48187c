import { assert, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { zero } from "@perennial/domain/Usage"
import { Deferred, Effect, Latch, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

const lines: Array<readonly [message: string, annotations: Readonly<Record<string, unknown>>]> = []
const capturing = Logger.layer([
  Logger.make(({ fiber, message }) => lines.push([String(message), fiber.getRef(References.CurrentLogAnnotations)]))
])

it.effect("P8: `logContext` annotates every log line of a task, also in another process after a crash", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const begun = yield* Deferred.make<void>()
    const release = yield* Latch.make()
    const agent = make("logging", ({ task }) =>
      Effect.gen(function*() {
        yield* Effect.log(`attempt ${task.attempt}`)
        // Log lines of fibers that the agent forks belong to the task, too.
        yield* Effect.forkChild(Effect.log(`child of attempt ${task.attempt}`), { startImmediately: true })
        yield* Deferred.succeed(begun, undefined)
        if (task.attempt === 1) yield* release.await
        return { usage: zero }
      }))
    const a = yield* startProcess(both, [agent])
    const logContext = { requestId: "r-1", tenant: "acme" }
    const { conversationId, id } = yield* a.manager.start({ message: "x", logContext })
    yield* Deferred.await(begun)
    a.line.cut()
    yield* startProcess(both, [agent])
    yield* settle
    yield* TestClock.adjust("12 seconds")
    yield* untilEnded(both, id)
    const ofTask = lines.filter(([message]) => message.includes("attempt"))
    assert.deepStrictEqual(
      ofTask.map(([message, annotations]) => [message, { ...annotations }]),
      [1, 2].flatMap((attempt) => {
        const annotations = { ...logContext, taskId: id, conversationId, userId: "local", attempt }
        return [[`attempt ${attempt}`, annotations], [`child of attempt ${attempt}`, annotations]]
      })
    )
    // Log lines outside of a task do not have the annotations of the task.
    for (const [message, annotations] of lines) {
      if (annotations["taskId"] === undefined) assert.notProperty(annotations, "requestId", message)
    }
  }).pipe(Effect.provide(capturing)))
