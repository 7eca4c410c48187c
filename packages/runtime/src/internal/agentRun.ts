/**
 * Runs the agent in a fiber of its own, so that its finalizers can be given up. No other fiber waits for it: what comes
 * after it begins when it has ended, so that a task costs little while its agent waits.
 */
import type { Agent, AgentError, AgentInput, AgentResult, Emit } from "@perennial/domain/Agent"
import { CurrentTask, type TaskContext } from "@perennial/domain/CurrentTask"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { Message } from "@perennial/domain/Message"
import type { Metadata } from "@perennial/domain/Task"
import { type Claim, decisionKey } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Cause, Context, Effect, Exit, type Fiber, Option } from "effect"
import { malformed } from "./agentEvent.ts"
import type { Shared } from "./executeClaimed.ts"
import type { AgentExit, Execution } from "./execution.ts"
import type { Journal } from "./journal.ts"
import { storeMessages } from "./projection.ts"
import { Titling } from "./titling.ts"

/** A task that has begun. */
export interface Begun {
  readonly agent: Agent
  readonly execution: Execution
  /** What its fibers have. */
  readonly context: Context.Context<never>
  readonly journal: Journal
  /** The log so far, without the chunks that complete messages replaced. */
  readonly journaled: ReadonlyArray<StoredEvent>
  readonly history: ReadonlyArray<Message>
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
}

const crash = (
  { now }: Shared,
  execution: Execution,
  message: string,
  cause: Cause.Cause<unknown>
): Effect.Effect<never> =>
  Effect.andThen(
    Effect.logError(message, cause),
    Effect.suspend(() => {
      execution.stop("store", now())
      return Effect.interrupt
    })
  )

const none: Metadata = {}

const toContext = (claim: Claim): TaskContext => ({
  taskId: claim.taskId,
  conversationId: claim.conversationId,
  userId: claim.userId,
  agentId: claim.agentId,
  attempt: claim.attempt,
  metadata: claim.metadata ?? none,
  userMetadata: claim.userMetadata ?? none
})

/** What the agent is given to do its work. */
export class Run implements AgentInput {
  readonly task: TaskContext
  readonly history: ReadonlyArray<Message>
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
  readonly journal: ReadonlyArray<StoredEvent>
  readonly checkpoint: Effect.Effect<void>
  readonly #shared: Shared
  readonly #execution: Execution
  readonly #log: Journal
  #titling: Titling | undefined

  constructor(shared: Shared, { execution, history, historyMetadata, journal, journaled }: Begun) {
    this.task = toContext(journal.claim)
    this.history = history
    this.historyMetadata = historyMetadata
    this.journal = journaled
    this.checkpoint = execution.checkpoint
    this.#shared = shared
    this.#execution = execution
    this.#log = journal
  }

  /** Writes events of the agent and then what they add to the conversation. */
  #write(events: Parameters<Emit>[0]): Effect.Effect<number> {
    const wrong = malformed(events, this.#log.claim)
    return wrong === undefined
      ? Effect.flatMap(this.#shared.writer.emitByAgent(this.#log, events), (seq) => this.#store(seq))
      : Effect.die(wrong)
  }

  #store(seq: number): Effect.Effect<number> {
    const log = this.#log
    if (log.unstored.length === 0 && log.title === undefined) return Effect.succeed(seq)
    this.#execution.progressed ||= log.unstored.length > 0
    return storeMessages(this.#shared, this.#execution, log).pipe(
      // With a result one call less works.
      Effect.andThen(this.#shared.places.rest(this.#execution)),
      Effect.uninterruptible,
      Effect.catchCause((cause) =>
        crash(
          this.#shared,
          this.#execution,
          "The conversation store failed; the task stops here as if crashed.",
          cause
        )
      ),
      Effect.as(seq)
    )
  }

  readonly emit: Emit = (events) =>
    Effect.suspend(() => this.#execution.agentEnded ? Effect.interrupt : this.#write(events))

  readonly makeTitle: AgentInput["makeTitle"] = (title) => {
    const { scope, store } = this.#shared
    this.#titling ??= new Titling({
      claim: this.#log.claim,
      execution: this.#execution,
      scope,
      store,
      write: (title) => Effect.asVoid(Effect.suspend(() => this.#write([{ type: "title", title }])))
    })
    return this.#titling.begin(title)
  }

  /** The answer to a call that waits for a person; at a deadline it is recorded as theirs would be: the first one stands. */
  readonly awaitDecision: AgentInput["awaitDecision"] = (toolCallId, otherwise) => {
    const execution = this.#execution
    const { backend, now, places } = this.#shared
    const { taskId } = this.#log.claim
    const given = execution.awaitDecision(toolCallId)
    if (execution.isDecided(toolCallId)) return given
    if (otherwise === undefined) return places.outside(execution, given)
    const { at, decision } = otherwise
    const expired = Effect.suspend(() => Effect.sleep(Math.max(0, at - now()))).pipe(
      Effect.andThen(backend.putIntent(taskId, { key: decisionKey(toolCallId), value: { ...decision } })),
      Effect.andThen(backend.intents(taskId)),
      Effect.map((intents) => execution.apply(intents, now())),
      Effect.catchCause((cause) =>
        crash(
          this.#shared,
          execution,
          "The end of a wait for approval could not be recorded; the task stops here as if crashed.",
          cause
        )
      ),
      Effect.andThen(given)
    )
    return places.outside(execution, Effect.raceFirst(given, expired))
  }

  /** The agent has ended: what it and its fibers left unwritten is written before the log is settled. */
  end(exit: AgentExit): Effect.Effect<void> {
    const log = this.#log
    const completed = exit !== "abandoned" && Exit.isSuccess(exit)
    const titled = this.#titling === undefined ? Effect.void : this.#titling.end(completed)
    const written = Effect.suspend(() => {
      log.sealed = true
      return log.inFlight && !log.closed && !this.#execution.isLost
        ? Effect.asVoid(this.#shared.writer.emit(log, []))
        : Effect.void
    })
    const died = exit !== "abandoned" && Exit.isFailure(exit) && Cause.hasDies(exit.cause)
      ? Effect.logError("The agent died.", exit.cause)
      : Effect.void
    return titled.pipe(Effect.andThen(written), Effect.andThen(died))
  }
}

/** Runs the agent of a task in a fiber of its own, unless the task was stopped before. */
export const runAgent = (run: Run, { agent, context, execution }: Begun): Fiber.Fiber<AgentResult, AgentError> =>
  Effect.runForkWith(context.pipe(
    Context.add(CurrentTask, Option.some(run.task)),
    Context.add(CurrentUser, run.task.userId)
  ))(execution.reason === undefined ? Effect.suspend(() => agent.run(run, run.emit)) : Effect.interrupt)
