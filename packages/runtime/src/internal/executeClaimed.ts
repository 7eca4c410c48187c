/**
 * The life of one execution: claim, catch up with the log, run the agent, settle, finish.
 *
 * Each phase is a fiber of its own: one up to where the agent begins, the agent's, and one from where it has ended. While
 * an agent waits, nothing else of its task does.
 */
import type { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { RunnerId, TaskId } from "@perennial/domain/Ids"
import { type Outcome, settleUnsettled } from "@perennial/domain/Settlement"
import type { Claim, Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { LeaseLost } from "@perennial/domain/TaskError"
import { Cause, Context, Duration, Effect, Option, References, type Scope } from "effect"
import type { TaskLimits } from "../TaskLimits.ts"
import { type Begun, Run, runAgent } from "./agentRun.ts"
import { catchUp } from "./catchUp.ts"
import { readHistory } from "./conversation.ts"
import type { AgentExit, Execution } from "./execution.ts"
import type { Hubs } from "./hubs.ts"
import { Journal } from "./journal.ts"
import { outcomeOf } from "./outcome.ts"
import type { Places } from "./places.ts"
import { storeMessages, storeWhatIsTaken } from "./projection.ts"
import { noHead } from "./watch.ts"
import type { Writer } from "./writer.ts"

/** What all executions of a process share. */
export interface Shared {
  readonly agents: Agents["Service"]
  readonly backend: TaskBackend["Service"]
  readonly store: ConversationStore["Service"]
  readonly writer: Writer
  readonly hubs: Hubs
  readonly places: Places
  readonly limits: TaskLimits
  readonly runnerId: RunnerId
  readonly scope: Scope.Scope
  /** What a task has of its process, and nothing of the fiber that submitted it. */
  readonly context: Context.Context<never>
  readonly now: () => number
  /** Ends the execution of a task, with the head that its end has promoted. */
  readonly end: (execution: Execution, promoted: Option.Option<Head>) => Effect.Effect<void>
  /** Reads the intents of a task that is executed here. */
  readonly notify: (id: TaskId) => Effect.Effect<void>
}

/** Everything owed first, the conversation next, the terminal event last (P4). */
const finish = Effect.fnUntraced(
  function*(shared: Shared, execution: Execution, journal: Journal, outcome: Outcome) {
    const { backend, limits, now, writer } = shared
    const store = givenUp(execution, journal) > limits.failures ? storeWhatIsTaken : storeMessages
    const { claim } = journal
    const owed = settleUnsettled(journal.unsettled, claim, outcome, { messageBytes: limits.eventBytes })
    const terminal = owed[owed.length - 1]
    if (terminal === undefined) return noHead
    if (owed.length > 1) yield* writer.emit(journal, owed.slice(0, -1))
    if (claim.lastSeq > 1 || journal.lastSeq > 1) yield* store(shared, execution, journal)
    journal.closed = true
    const [last] = journal.number([terminal], now())
    if (last === undefined) return noHead
    const promoted = yield* backend.finish(claim, [last])
    yield* journal.publish([last])
    return promoted
  }
)

/** How often the task was given up without progress: by owners that died, and by this process because of a store. */
const givenUp = ({ losses }: Execution, { claim }: Journal): number => claim.failures + losses

/** Ends a task that was given up too often. */
const endLoop = Effect.fnUntraced(function*(shared: Shared, execution: Execution, journal: Journal) {
  const times = givenUp(execution, journal)
  const refused = yield* storeWhatIsTaken(shared, execution, journal)
  const why = refused.length === 0
    ? { error: "CrashLoop", detail: `The task was given up ${times} times without progress.` }
    : {
      error: "MessageRefused",
      detail: `The conversation store refused ${refused.join(", ")} ${times} times. Only the task's events have it.`
    }
  return yield* finish(shared, execution, journal, { status: "error", ...why, retryable: false })
})

/** Ends a task whose agent this process does not have: it was claimed for nothing else. */
const endForeign = (shared: Shared, execution: Execution, journal: Journal): ReturnType<typeof finish> => {
  const { claim } = journal
  if (execution.intents < claim.intents) {
    // It may be a cancel that could not be read.
    journal.closed = true
    return Effect.as(shared.backend.release(claim), noHead)
  }
  return finish(shared, execution, journal, {
    status: "error",
    error: "AgentNotFound",
    detail: `No process with the agent "${claim.agentId}" took the task up in time.`,
    retryable: false
  })
}

const makeJournal = ({ hubs, limits }: Shared, execution: Execution, claim: Claim): Journal =>
  new Journal({ claim, hub: hubs.own(claim.taskId, claim.lastSeq), limits, owner: execution })

/** The task ended before its agent began. */
class Ended {
  readonly promoted: Option.Option<Head>

  constructor(promoted: Option.Option<Head>) {
    this.promoted = promoted
  }
}

/** Brings everything up to where the agent may begin, or ends the task. */
const begin = Effect.fnUntraced(function*(
  shared: Shared,
  execution: Execution,
  claim: Claim,
  context: Context.Context<never>
) {
  const { agents, backend, limits, now, store, writer } = shared
  const agent = Option.getOrUndefined(yield* Effect.option(agents.get(claim.agentId)))
  // The agent's or the process's, whichever is shorter; without its agent it ends for want of that.
  execution.own(
    claim,
    agent === undefined ? Duration.infinity : Duration.min(agent.timeout ?? limits.taskTimeout, limits.taskTimeout)
  )
  const journal = makeJournal(shared, execution, claim)
  execution.journal = journal
  const journaled = yield* catchUp(backend, journal)
  if (claim.intents > 0) yield* shared.notify(claim.taskId)
  execution.tick(now())
  if (execution.reason === "cancel" || execution.reason === "timeout") {
    const outcome = outcomeOf(execution, "abandoned")
    if (outcome !== "nothing" && outcome !== "release") {
      return new Ended(yield* finish(shared, execution, journal, outcome))
    }
  }
  if (agent === undefined) return new Ended(yield* endForeign(shared, execution, journal))
  if (givenUp(execution, journal) > limits.failures) return new Ended(yield* endLoop(shared, execution, journal))
  const begun = journaled.some(({ event }) => event.type === "started")
  // Before a word is written: while a store is away the log does not grow.
  if (begun) yield* storeMessages(shared, execution, journal)
  const { attempt, conversationId, taskId } = claim
  yield* writer.emit(journal, [
    begun
      // The writer knows what is void.
      ? { type: "resumed", taskId, conversationId, attempt, discardAfter: 0 }
      : { type: "started", taskId, conversationId, attempt }
  ])
  yield* storeMessages(shared, execution, journal)
  const read = yield* readHistory(store, { id: conversationId, userId: claim.userId }, limits.historyBytes)
  return { agent, execution, context, journal, journaled, ...read } satisfies Begun
})

/** Ends the task as its agent ended, hands it over, or leaves it as it is. */
const conclude = (shared: Shared, execution: Execution, exit: AgentExit): ReturnType<typeof finish> => {
  const { journal } = execution
  const outcome = outcomeOf(execution, exit)
  if (journal === undefined) return Effect.succeed(noHead)
  if (outcome !== "nothing" && outcome !== "release") return finish(shared, execution, journal, outcome)
  journal.closed = true
  execution.failed = execution.reason === "store"
  return outcome === "release" ? Effect.as(shared.backend.release(journal.claim), noHead) : Effect.succeed(noHead)
}

const toAnnotations = ({ attempt, conversationId, logContext, taskId }: Claim) => ({
  ...logContext,
  taskId,
  conversationId,
  attempt
})

/** Every log line of the task names it. */
const toContext = ({ context }: Shared, claim: Claim): Context.Context<never> =>
  Context.add(context, References.CurrentLogAnnotations, {
    ...Context.get(context, References.CurrentLogAnnotations),
    ...toAnnotations(claim)
  })

/** A store that fails stops the task as if this process had crashed. */
const lose = (execution: Execution, cause: Cause.Cause<unknown>): Effect.Effect<Option.Option<Head>> => {
  const error = Cause.findErrorOption(cause)
  if (execution.reason === "fenced" || (Option.isSome(error) && error.value instanceof LeaseLost)) {
    return Effect.succeed(noHead)
  }
  // A claim that failed says nothing about the task.
  execution.failed = execution.claim !== undefined
  return Effect.logError("The task stopped here as if crashed; it will be taken up again.", cause).pipe(
    Effect.annotateLogs("taskId", execution.taskId),
    Effect.as(noHead)
  )
}

/** Claims a head and brings it up to where its agent begins. */
const claimed = (shared: Shared, execution: Execution) => {
  const { backend, runnerId } = shared
  return Effect.flatMap(
    backend.claim(execution.taskId, { runnerId, expectedToken: execution.head.token }),
    (claim) => {
      if (Option.isNone(claim)) return Effect.succeed(new Ended(noHead))
      const context = toContext(shared, claim.value)
      return Effect.updateContext<never, never>(() => context)(begin(shared, execution, claim.value, context))
    }
  )
}

/** Has the agent run, and ends the task when it has ended or was given up. */
const run = (shared: Shared, begun: Begun): void => {
  const { context, execution } = begun
  const run = new Run(shared, begun)
  execution.run(runAgent(run, begun), (exit) => {
    const concluded = Effect.flatMap(run.end(exit), () => conclude(shared, execution, exit)).pipe(
      Effect.catchCause((cause) => lose(execution, cause)),
      Effect.flatMap((promoted) => shared.end(execution, promoted))
    )
    Effect.runForkWith(context)(concluded, { uninterruptible: true })
  })
}

/** Claims a head and executes it, until it calls `shared.end`. */
export const executeClaimed = (shared: Shared, execution: Execution): void => {
  const begun = claimed(shared, execution).pipe(
    Effect.catchCause((cause) => Effect.map(lose(execution, cause), (head) => new Ended(head))),
    Effect.flatMap((begun) =>
      begun instanceof Ended ? shared.end(execution, begun.promoted) : Effect.sync(() => run(shared, begun))
    )
  )
  Effect.runForkWith(shared.context)(begun, { uninterruptible: true })
}
