/**
 * Runs each tool in a fiber of its own, so that its time is bounded (P11). After an interruption the task waits for the
 * finalizers of the tool for at most `TaskLimits.cancelGrace`. Then the task continues without the tool.
 */
import { Cause, Duration, Effect, Exit, Fiber, Option, Scope } from "effect"
import { failed, type ToolOutcome } from "../../AgentTools.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"

export interface ToolRun {
  readonly tool: string
  readonly execute: Effect.Effect<ToolOutcome>
  readonly timeout: Duration.Duration
}

/** The outcome of a tool that was not interrupted. */
const toOutcome = (tool: string, exit: Exit.Exit<ToolOutcome>): Effect.Effect<ToolOutcome> => {
  if (Exit.isSuccess(exit)) return exit
  return Cause.hasDies(exit.cause)
    ? Effect.as(
      Effect.logError(`Tool "${tool}" failed with a defect.`, exit.cause),
      failed("The tool failed with an internal error.")
    )
    : Effect.succeed(failed("The tool stopped without a result."))
}

export const makeRunTool = () => {
  // The scope is never closed. The task interrupts each of its tools itself, and a tool that does not stop must not hold it up.
  const scope = Scope.makeUnsafe()

  return ({ execute, timeout, tool }: ToolRun): Effect.Effect<ToolOutcome> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { cancelGrace } = yield* CurrentTaskLimits
        const fiber = yield* Effect.forkIn(Effect.interruptible(execute), scope)
        const within = (duration: Duration.Duration) => Effect.timeoutOption(Fiber.await(fiber), duration)
        const stop = Effect.suspend(() => {
          fiber.interruptUnsafe()
          return within(cancelGrace)
        })
        const exit = yield* Effect.onInterrupt(restore(within(timeout)), () => stop)
        if (Option.isSome(exit)) return yield* toOutcome(tool, exit.value)
        const late = yield* stop
        if (Option.isSome(late)) {
          return Exit.isSuccess(late.value)
            ? late.value.value
            : failed(`The tool did not finish within ${Duration.format(timeout)}.`)
        }
        yield* Effect.logWarning(`Tool "${tool}" does not stop; its task goes on without it.`)
        return failed(
          `The tool did not finish within ${
            Duration.format(timeout)
          } and could not be stopped: it may still be running.`
        )
      })
    )
}
