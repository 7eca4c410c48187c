/** What the log tells those who operate a process. */
import { assert, it } from "@effect/vitest"
import { AgentError, make } from "@perennial/domain/Agent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { zero } from "@perennial/domain/Usage"
import * as Retention from "@perennial/runtime/Retention"
import { Context, Deferred, Effect, Layer, Logger, type LogLevel, References } from "effect"
import { TestClock } from "effect/testing"
import { settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

interface Line {
  readonly level: LogLevel.LogLevel
  readonly message: string
  readonly taskId: unknown
}

/** Runs a test with all that is logged meanwhile. */
const withLines = <A, E, R>(body: (lines: Array<Line>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    const capturing = Logger.make(({ fiber, logLevel, message }) => {
      const { taskId } = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, message: String(message), taskId })
    })
    return body(lines).pipe(
      Effect.provide(Layer.merge(Logger.layer([capturing]), Layer.succeed(References.MinimumLogLevel, "Debug")))
    )
  })

const failing = make(
  "failing",
  () => Effect.fail(new AgentError({ error: "Broken", detail: "It broke.", retryable: false }))
)

it.effect("a task begins and ends on lines that name it; a failure has the level info", () =>
  withLines((lines) =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(both, [failing, make("working", () => Effect.succeed({ usage: zero }))])
      const ofTask = (id: string) =>
        lines.filter(({ taskId }) => taskId === id).map(({ level, message }) => [level, message])
      const failed = yield* manager.start({ message: "x" })
      const completed = yield* manager.start({ message: "x", agentId: "working" })
      yield* untilEnded(both, failed.id)
      yield* untilEnded(both, completed.id)
      assert.deepStrictEqual(ofTask(failed.id), [
        ["Debug", "The task is executed here."],
        ["Info", "The task ended with the error Broken: It broke."]
      ])
      assert.deepStrictEqual(ofTask(completed.id), [
        ["Debug", "The task is executed here."],
        ["Debug", "The task ended: done."]
      ])
    })
  ))

it.effect("the end of a process says how many tasks it handed over, and each of them is named", () =>
  withLines((lines) =>
    Effect.gen(function*() {
      const both = yield* shared
      const begun = yield* Deferred.make<void>()
      const waiting = make("waiting", () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      const { manager, terminate } = yield* startProcess(both, [waiting])
      const { id } = yield* manager.start({ message: "x" })
      yield* Deferred.await(begun)
      yield* terminate
      assert.deepInclude(lines, {
        level: "Debug",
        message: "The task is given back: another process may take it.",
        taskId: id
      })
      assert.deepStrictEqual(
        lines.filter(({ message }) => message.startsWith("Tasks handed over")).map((
          { level, message }
        ) => [level, message]),
        [["Info", "Tasks handed over: 1."]]
      )
    })
  ))

it.effect("retention says how many logs it removed, and nothing when it removed none", () =>
  withLines((lines) =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(both, [failing])
      yield* untilEnded(both, (yield* manager.start({ message: "x" })).id)
      yield* TestClock.adjust("1 hour")
      yield* Layer.build(
        Retention.layer({ keep: "30 minutes", interval: "1 minute" }).pipe(
          Layer.provide(Layer.succeedContext(Context.make(TaskBackend, both.backend)))
        )
      )
      yield* settle
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(lines.filter(({ message }) => message.startsWith("Logs of old")), [
        { level: "Info", message: "Logs of old tasks removed: 1.", taskId: undefined }
      ])
    })
  ))

const clockLines = (lines: ReadonlyArray<Line>) =>
  lines.map(({ message }) => message).filter((message) => message.startsWith("The clock of this process"))

it.effect("a store that answers late is no wrong clock", () =>
  withLines((lines) =>
    Effect.gen(function*() {
      const { line } = yield* startProcess(yield* shared, [failing])
      line.after = () => line.names.at(-1) === "heartbeat" ? Effect.sleep("5500 millis") : Effect.void
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("5500 millis")
      // The process ends with a last call of its store.
      line.after = () => Effect.void
      assert.deepStrictEqual(clockLines(lines), [])
    })
  ))

it.effect.each([["behind", 7_000], ["ahead of", -7_000]] as const)(
  "a clock that is %s that of the store is logged once",
  ([how, millis]) =>
    withLines((lines) =>
      Effect.gen(function*() {
        const { backend, store } = yield* shared
        const heartbeat: typeof backend.heartbeat = (...args) =>
          Effect.map(backend.heartbeat(...args), (answer) => ({ ...answer, now: answer.now + millis }))
        yield* startProcess({ backend: { ...backend, heartbeat }, store }, [failing])
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(clockLines(lines), [
          `The clock of this process is 7s ${how} the store's clock. The store's clock decides; set the clock of this machine.`
        ])
      })
    )
)
