/**
 * The life of one execution: claim, catch up with the log, run the agent, settle, finish.
 */
import type { AgentError, AgentInput, AgentResult, Agents, Emit } from "@perennial/domain/Agent"
import { AgentError as Failure } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentTask, type TaskContext } from "@perennial/domain/CurrentTask"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { MessageId, RunnerId } from "@perennial/domain/Ids"
import type { Message } from "@perennial/domain/Message"
import { type Outcome, settleUnsettled } from "@perennial/domain/Settlement"
import { type Claim, decisionKey, type Head, type TaskBackend } from "@perennial/domain/TaskBackend"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Cause, Deferred, Duration, Effect, Exit, Option, type Scope } from "effect"
import type { TaskLimits } from "../TaskLimits.ts"
import { malformed } from "./agentEvent.ts"
import type { AgentExit, Execution } from "./execution.ts"
import type { Hubs } from "./hubs.ts"
import { Journal } from "./journal.ts"
import { outcomeOf } from "./outcome.ts"
import { storeMessages, storeWhatIsTaken } from "./projection.ts"
import { Titling } from "./titling.ts"
import { noHead } from "./watch.ts"
import type { Writer } from "./writer.ts"

export interface Options {
  readonly agents: Agents["Service"]
  readonly backend: TaskBackend["Service"]
  readonly store: ConversationStore["Service"]
  readonly writer: Writer
  readonly hubs: Hubs
  readonly limits: TaskLimits
  readonly runnerId: RunnerId
  readonly scope: Scope.Scope
  /** Owns the agents' fibers. */
  readonly agentScope: Scope.Scope
  /** How often this process gave the task up because of the store, without progress. */
  readonly losses: number
  readonly now: () => number
  readonly execution: Execution
  readonly head: Head
  readonly checkpoint: Effect.Effect<void>
  /** Reads the intents of this task. */
  readonly notify: Effect.Effect<void>
  /** Waits without a place of the process's capacity. */
  readonly outside: <A>(wait: Effect.Effect<A>) => Effect.Effect<A>
}

/** Messages read at once when a task begins. */
const historyPage = 1_000

/** The log so far, without the chunks that complete messages replaced. */
const catchUp = Effect.fnUntraced(function*({ backend }: Options, journal: Journal) {
  const { claim } = journal
  if (claim.lastSeq === 1) {
    const ack = TaskEvent.ack({ id: claim.taskId, conversationId: claim.conversationId, at: claim.createdAt })
    journal.record([ack])
    return [ack]
  }
  const kept: Array<TaskEvent.StoredEvent> = []
  let after = 0
  while (after < claim.lastSeq) {
    const { events } = yield* backend.events(claim.taskId, { after, limit: 500, maxBytes: 4 * 1024 * 1024 })
    journal.record(events)
    for (const stored of events) {
      const { type } = stored.event
      if (type !== "text" && type !== "reasoning" && type !== "tool_progress") kept.push(stored)
    }
    after = events[events.length - 1]?.seq ?? claim.lastSeq
  }
  return kept
})

const readHistory = Effect.fnUntraced(function*({ store }: Options, claim: Claim) {
  const history: Array<Message> = []
  let after: MessageId | undefined
  while (true) {
    const page = yield* store.messages(
      { id: claim.conversationId, userId: claim.userId },
      { after, limit: historyPage }
    )
    for (const { message } of page) history.push(message)
    if (page.length < historyPage) return history
    after = page[page.length - 1]?.id
  }
})

/** Writes events of the agent and then what they add to the conversation. */
const writeByAgent = (options: Options, journal: Journal): Emit => (events) =>
  Effect.tap(
    Effect.suspend(() => {
      const wrong = malformed(events, journal.claim)
      return wrong === undefined ? options.writer.emitByAgent(journal, events) : Effect.die(wrong)
    }),
    () => {
      if (journal.unstored.length === 0 && journal.title === undefined) return Effect.void
      options.execution.progressed ||= journal.unstored.length > 0
      return Effect.catchCause(
        Effect.uninterruptible(storeMessages(options, journal)),
        (cause) => crash(options, "The conversation store failed; the task stops here as if crashed.", cause)
      )
    }
  )

const crash = ({ execution, now }: Options, message: string, cause: Cause.Cause<unknown>): Effect.Effect<never> =>
  Effect.andThen(
    Effect.logError(message, cause),
    Effect.suspend(() => {
      execution.stop("store", now())
      return Effect.interrupt
    })
  )

/** The answer to a call that waits for a person; at a deadline it is recorded as theirs would be: the first one stands. */
const awaitDecision =
  (options: Options, { claim }: Journal): AgentInput["awaitDecision"] => (toolCallId, otherwise) => {
    const { backend, execution, now } = options
    const given = execution.awaitDecision(toolCallId)
    if (execution.isDecided(toolCallId)) return given
    if (otherwise === undefined) return options.outside(given)
    const { at, decision } = otherwise
    const expired = Effect.suspend(() => Effect.sleep(Math.max(0, at - now()))).pipe(
      Effect.andThen(backend.putIntent(claim.taskId, { key: decisionKey(toolCallId), value: { ...decision } })),
      Effect.andThen(backend.intents(claim.taskId)),
      Effect.map((intents) => execution.apply(intents, now())),
      Effect.catchCause((cause) =>
        crash(
          options,
          "The end of a wait for approval could not be recorded; the task stops here as if crashed.",
          cause
        )
      ),
      Effect.andThen(given)
    )
    return options.outside(Effect.raceFirst(given, expired))
  }

/** Runs the agent in a fiber of its own, so that its finalizers can be waited for, and given up. */
const runAgent = Effect.fnUntraced(function*(options: Options, journal: Journal, input: Omit<AgentInput, "makeTitle">) {
  const { agentScope, agents, execution, scope, store, writer } = options
  const { claim } = journal
  const write = writeByAgent(options, journal)
  const emit: Emit = (events) =>
    Effect.suspend(() => Deferred.isDoneUnsafe(execution.ended) ? Effect.interrupt : write(events))
  let titling: Titling | undefined
  const writeTitle = (title: string) => Effect.asVoid(write([{ type: "title", title }]))
  const makeTitle: AgentInput["makeTitle"] = (title) => {
    titling ??= new Titling({ claim, execution, scope, store, write: writeTitle })
    return titling.begin(title)
  }
  const agent: Effect.Effect<AgentResult, AgentError> = agents.get(claim.agentId).pipe(
    Effect.mapError((error) => new Failure({ error: "AgentNotFound", detail: error.message, retryable: false })),
    Effect.flatMap((agent) => agent.run({ ...input, makeTitle }, emit)),
    Effect.provideService(CurrentTask, Option.some(input.task)),
    Effect.provideService(CurrentUser, claim.userId)
  )
  execution.run(yield* Effect.forkIn(Effect.interruptible(agent), agentScope))
  const exit: AgentExit = yield* Deferred.await(execution.ended)
  if (titling !== undefined) yield* titling.end(exit !== "abandoned" && Exit.isSuccess(exit))
  journal.sealed = true
  // What fibers of the agent that outlive it had handed to the writer is written before the log is settled.
  if (journal.inFlight && !journal.closed && !execution.isLost) yield* writer.emit(journal, [])
  if (exit !== "abandoned" && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
    yield* Effect.logError("The agent died.", exit.cause)
  }
  return exit
})

/** Everything owed first, the conversation next, the terminal event last (P4). */
const finish = Effect.fnUntraced(function*(options: Options, journal: Journal, outcome: Outcome) {
  const { backend, limits, now, writer } = options
  const store = givenUp(options, journal) > limits.failures ? storeWhatIsTaken : storeMessages
  const { claim } = journal
  const owed = settleUnsettled(journal.unsettled, claim, outcome, { messageBytes: limits.eventBytes })
  const terminal = owed[owed.length - 1]
  if (terminal === undefined) return noHead
  if (owed.length > 1) yield* writer.emit(journal, owed.slice(0, -1))
  if (claim.lastSeq > 1 || journal.lastSeq > 1) yield* store(options, journal)
  journal.closed = true
  const [last] = journal.number([terminal], now())
  if (last === undefined) return noHead
  const promoted = yield* backend.finish(claim, [last])
  yield* journal.publish([last])
  return promoted
})

const toContext = (claim: Claim): TaskContext => ({
  taskId: claim.taskId,
  conversationId: claim.conversationId,
  userId: claim.userId,
  agentId: claim.agentId,
  attempt: claim.attempt,
  metadata: claim.metadata ?? {}
})

/** How often the task was given up without progress: by owners that died, and by this process because of a store. */
const givenUp = ({ losses }: Options, { claim }: Journal): number => claim.failures + losses

/** Ends a task that was given up too often. */
const endLoop = Effect.fnUntraced(function*(options: Options, journal: Journal) {
  const times = givenUp(options, journal)
  const refused = yield* storeWhatIsTaken(options, journal)
  const why = refused.length === 0
    ? { error: "CrashLoop", detail: `The task was given up ${times} times without progress.` }
    : {
      error: "MessageRefused",
      detail: `The conversation store refused ${refused.join(", ")} ${times} times. Only the task's events have it.`
    }
  return yield* finish(options, journal, { status: "error", ...why, retryable: false })
})

/** Ends a task whose agent this process does not have: it was claimed for nothing else. */
const endForeign = Effect.fnUntraced(function*(options: Options, journal: Journal) {
  const { claim } = journal
  if (options.execution.intents < claim.intents) {
    // It may be a cancel that could not be read.
    journal.closed = true
    yield* options.backend.release(claim)
    return noHead
  }
  return yield* finish(options, journal, {
    status: "error",
    error: "AgentNotFound",
    detail: `No process with the agent "${claim.agentId}" took the task up in time.`,
    retryable: false
  })
})

/** The agent's or the process's, whichever is shorter. */
const timeoutOf = ({ agents, limits }: Options, claim: Claim): Effect.Effect<Duration.Duration> =>
  agents.get(claim.agentId).pipe(
    Effect.map((agent) => Duration.min(agent.timeout ?? limits.taskTimeout, limits.taskTimeout)),
    // It ends for want of its agent, then.
    Effect.orElseSucceed(() => Duration.infinity)
  )

const own = Effect.fnUntraced(function*(options: Options, claim: Claim) {
  const { agents, backend, execution, hubs, limits, now, scope, writer } = options
  execution.claim = claim
  execution.timeout = yield* timeoutOf(options, claim)
  const journal = new Journal({
    claim,
    hub: hubs.own(claim.taskId, claim.lastSeq),
    limits,
    onLoss: (loss) => execution.stop(loss, now()),
    onIntents: (count) =>
      Effect.suspend(() => {
        if (count <= Math.max(execution.intents, execution.noticed)) return Effect.void
        // Only once they are read they count for the heartbeat, which looks again where this look fails.
        execution.noticed = count
        return Effect.asVoid(Effect.forkIn(options.notify, scope))
      })
  })
  const journaled = yield* catchUp(options, journal)
  if (claim.intents > 0) yield* options.notify
  execution.tick(now(), Duration.toMillis(limits.cancelGrace))
  if (execution.reason === "cancel" || execution.reason === "timeout") {
    const outcome = outcomeOf(execution, "abandoned")
    if (outcome !== "nothing" && outcome !== "release") return yield* finish(options, journal, outcome)
  }
  if (!agents.ids.includes(claim.agentId)) return yield* endForeign(options, journal)
  if (givenUp(options, journal) > limits.failures) return yield* endLoop(options, journal)
  const begun = journaled.some(({ event }) => event.type === "started")
  // Before a word is written: while a store is away the log does not grow.
  if (begun) yield* storeMessages(options, journal)
  yield* writer.emit(journal, [
    begun
      // The writer knows what is void.
      ? { type: "resumed", ...toIds(claim), attempt: claim.attempt, discardAfter: 0 }
      : { type: "started", ...toIds(claim), attempt: claim.attempt }
  ])
  yield* storeMessages(options, journal)
  const exit = yield* runAgent(options, journal, {
    task: toContext(claim),
    history: yield* readHistory(options, claim),
    journal: journaled,
    checkpoint: options.checkpoint,
    awaitDecision: awaitDecision(options, journal)
  })
  const outcome = outcomeOf(execution, exit)
  if (outcome === "nothing" || outcome === "release") {
    journal.closed = true
    execution.failed = execution.reason === "store"
    if (outcome === "release") yield* backend.release(claim)
    return noHead
  }
  return yield* finish(options, journal, outcome)
})

const toIds = ({ conversationId, taskId }: Claim) => ({ conversationId, taskId })

/** Claims a head and executes it; a store that fails stops it as if this process had crashed. */
export const executeClaimed = (options: Options): Effect.Effect<Option.Option<Head>> =>
  options.backend.claim(options.head.taskId, {
    runnerId: options.runnerId,
    expectedToken: options.head.token
  }).pipe(
    Effect.flatMap(Option.match({
      onNone: () => Effect.succeed(noHead),
      onSome: (claim) =>
        Effect.annotateLogs(own(options, claim), {
          ...claim.logContext,
          taskId: claim.taskId,
          conversationId: claim.conversationId,
          attempt: claim.attempt
        })
    })),
    Effect.catchTag("LeaseLost", () => Effect.succeed(noHead)),
    Effect.catchCause((cause) =>
      Effect.suspend(() => {
        const { execution } = options
        if (execution.reason === "fenced") return Effect.succeed(noHead)
        // A claim that failed says nothing about the task.
        execution.failed = execution.claim !== undefined
        return Effect.as(
          Effect.logError("The task stopped here as if crashed; it will be taken up again.", cause),
          noHead
        )
      })
    )
  )
