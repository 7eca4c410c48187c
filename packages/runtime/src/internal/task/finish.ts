/**
 * Ends a task in this process: with its outcome, with a hand-over, or without a write if the claim is lost.
 */
import { type Outcome, settleUnsettled } from "@perennial/domain/Settlement"
import type { Head } from "@perennial/domain/TaskBackend"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import { Array as Arr, Cause, Effect, Exit, Option } from "effect"
import type { TaskAgentInput } from "./agentInput.ts"
import { endChildren } from "./endChildren.ts"
import type { ExecutionHost } from "./executionHost.ts"
import { type AgentExit, outcomeOf } from "./outcome.ts"
import type { OwnedTask } from "./ownedTask.ts"
import { storeAccepted, storeMessages } from "./projection.ts"
import { untilRefused } from "./storeFailures.ts"

/** How often the task was given up without progress: owners died, or this process gave it up because of a store. */
export const givenUp = ({ attempt, claim }: OwnedTask): number => claim.failures + attempt.failures

/** A task that never began leaves no message in the conversation. */
const hasBegun = ({ claim, log }: OwnedTask): boolean => claim.lastSeq > 1 || log.lastSeq > 1

/** Ends a task: writes the missing events first, then the conversation, and the terminal event last (P4). */
export const finish = Effect.fnUntraced(function*(host: ExecutionHost, owned: OwnedTask, outcome: Outcome) {
  const { commit, limits } = host
  const { claim, log } = owned
  if (givenUp(owned) > limits.failures) return yield* finishGivenUp(host, owned, outcome)
  yield* endChildren(host, owned)
  const owed = settleUnsettled(log.unsettled, claim, outcome, { messageBytes: limits.eventBytes })
  const terminal = owed.at(-1)
  if (terminal === undefined) return noHead
  if (owed.length > 1) yield* commit.emit(log, owed.slice(0, -1))
  if (hasBegun(owned)) yield* storeMessages(host, owned)
  return yield* writeEnd(host, owned, [terminal])
})

/**
 * Ends a task that was given up too often, in one call: the end must not need what failed before. The conversation gets what
 * it accepts. The reason of a cancel is left out, because the store may be refusing it.
 */
const finishGivenUp = Effect.fnUntraced(function*(host: ExecutionHost, owned: OwnedTask, outcome: Outcome) {
  const { limits } = host
  const { claim, log } = owned
  const plain: Outcome = outcome.status === "cancelled" ? { status: "cancelled" } : outcome
  const owed = settleUnsettled(log.unsettled, claim, plain, { messageBytes: limits.eventBytes })
  const begun = hasBegun(owned)
  yield* Effect.ignore(endChildren(host, owned), { log: "Warn" })
  if (begun) yield* storeAccepted(host, owned)
  const promoted = yield* writeEnd(host, owned, owed)
  // The end is durable: no later attempt would write these messages. The next task may already have written its own.
  if (begun) yield* Effect.ignore(Effect.retry(storeAccepted(host, owned), untilRefused), { log: "Warn" })
  return promoted
})

/** Writes the last events, and shows them to readers. */
const writeEnd = Effect.fnUntraced(
  function*({ backend, now }: ExecutionHost, { claim, log }: OwnedTask, events: ReadonlyArray<TaskEvent>) {
    log.close()
    const last = log.number(events, now())
    if (!Arr.isReadonlyArrayNonEmpty(last)) return noHead
    const promoted = yield* backend.finish(claim, last)
    yield* logEnd(last.at(-1)?.event)
    yield* log.publish(last)
    return promoted
  }
)

/** Operators look for tasks that failed. All other ends are usual. */
const logEnd = (event: TaskEvent | undefined): Effect.Effect<void> =>
  event?.type === "error"
    ? Effect.logInfo(`The task ended with the error ${event.error}: ${event.detail}`)
    : Effect.logDebug(`The task ended: ${event?.type}.`)

const noHead = Option.none<Head>()

/** Gives the claim back, so that another process continues the task. */
export const release = ({ backend, onReleased }: ExecutionHost, { claim, log, place }: OwnedTask) => {
  log.close()
  return backend.release(claim, { isMoving: place.isMoving }).pipe(
    Effect.tap(() => Effect.sync(onReleased)),
    Effect.andThen(Effect.logDebug("The task is given back: another process may take it.")),
    Effect.as(noHead)
  )
}

/** Waits until the emitted events of the agent are written. Afterwards no event of the agent is accepted. */
const seal = ({ commit }: ExecutionHost, { log, stop }: OwnedTask): Effect.Effect<void> =>
  Effect.suspend(() => {
    log.seal()
    return log.inFlight && !log.isRefused(false) && !stop.isLost ? Effect.asVoid(commit.emit(log, [])) : Effect.void
  })

/** Ends the task with the result of its agent. Returns the head that the end promoted. */
export const conclude = Effect.fnUntraced(
  function*(host: ExecutionHost, owned: OwnedTask, input: TaskAgentInput, exit: AgentExit) {
    yield* input.endTitling(exit !== "abandoned" && Exit.isSuccess(exit))
    yield* seal(host, owned)
    if (exit !== "abandoned" && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
      yield* Effect.logError("The agent died.", exit.cause)
    }
    const outcome = outcomeOf(owned.stop, owned.timeout, exit)
    if (outcome === "release") return yield* release(host, owned)
    if (outcome !== "nothing") return yield* finish(host, owned, outcome)
    owned.log.close()
    return Option.none<Head>()
  }
)
