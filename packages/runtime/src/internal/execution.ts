/**
 * One task being executed by this process: why it was stopped, what was asked of it, and when it must end.
 */
import type { AgentError, AgentResult } from "@perennial/domain/Agent"
import { Decision } from "@perennial/domain/Decision"
import type { TaskId } from "@perennial/domain/Ids"
import { cancelKey, type Claim, decisionKey, type Head, type Intent } from "@perennial/domain/TaskBackend"
import { Deferred, Duration, Effect, Exit, type Fiber, Option, Schema, Semaphore } from "effect"
import type { Journal, JournalOwner, Loss } from "./journal.ts"

/**
 * Recorded before a fiber is interrupted, so that the outcome never has to be guessed. `fenced` and `store`: nothing may
 * be written any more.
 */
export type StopReason = "cancel" | "timeout" | "shutdown" | "fenced" | "store"

/** How the agent ended; `abandoned`: its finalizers took longer than the grace. */
export type AgentExit = Exit.Exit<AgentResult, AgentError> | "abandoned"

const decodeCancel = Schema.decodeUnknownOption(Schema.Struct({ reason: Schema.optionalKey(Schema.String) }))
const decodeDecision = Schema.decodeUnknownOption(Decision)

/** What all executions of a process have in common. */
export interface ExecutionProcess {
  /** Called when nothing may be written any more, at once: what clings to the agent does not delay it. */
  readonly onLost: (id: TaskId) => void
  /** Reads what was asked of a task, beside it. */
  readonly look: (id: TaskId) => Effect.Effect<void>
  /** How long finalizers may take. */
  readonly graceMillis: number
  readonly now: () => number
}

export class Execution implements JournalOwner {
  readonly head: Head
  /** To be run between two steps. */
  readonly checkpoint: Effect.Effect<void>
  /** How often this process gave the task up because of the store, without progress. */
  readonly losses: number
  reason: StopReason | undefined
  cancelReason: string | undefined
  claim: Claim | undefined
  /** How long the task may take, counted from its first claim. */
  timeout: Duration.Duration = Duration.infinity
  /** How many intents were taken note of. */
  intents = 0
  /** How many intents the writer has seen recorded; they may still have to be read. */
  noticed = 0
  /** Whether it has a place of this process's capacity. */
  admitted = true
  /** Its waits for a person. */
  outside = 0
  /** The writing end of its log, once it is claimed. */
  journal: Journal | undefined
  /** Whether its agent has ended, or was given up. */
  agentEnded = false
  /** Whether it has ended here. */
  over = false
  /** Whether a message or tool result was written. */
  progressed = false
  /** Whether it stopped as if crashed, because of the store. */
  failed = false
  /** Whether that was because the conversation store did not answer: it says nothing about the task. */
  excused = false
  readonly #process: ExecutionProcess
  /** When its finalizers have had their time, in milliseconds, once they are waited for. */
  #graceEnds: number | undefined
  #onStop: (() => void) | undefined
  #entering: Semaphore.Semaphore | undefined
  #fiber: Fiber.Fiber<AgentResult, AgentError> | undefined
  #onAgentEnd: ((exit: AgentExit) => void) | undefined
  #decisions: Map<string, Deferred.Deferred<Decision>> | undefined

  /** Called when it has ended here, with the head that its end has promoted. */
  readonly onEnd: (promoted: Option.Option<Head>) => void

  constructor(head: Head, options: {
    readonly checkpoint: Effect.Effect<void>
    readonly onEnd: (promoted: Option.Option<Head>) => void
    readonly losses: number
    readonly process: ExecutionProcess
  }) {
    this.head = head
    this.checkpoint = options.checkpoint
    this.losses = options.losses
    this.onEnd = options.onEnd
    this.#process = options.process
  }

  get taskId(): TaskId {
    return this.head.taskId
  }

  /** Held while it takes its place again. */
  get entering(): Semaphore.Semaphore {
    return this.#entering ??= Semaphore.makeUnsafe(1)
  }

  /** The task is this process's from now on. */
  own(claim: Claim, timeout: Duration.Duration): void {
    this.claim = claim
    this.timeout = timeout
  }

  /** The agent's fiber; interrupted at once if the task was stopped before it began. `onEnd` is called once. */
  run(fiber: Fiber.Fiber<AgentResult, AgentError>, onEnd: (exit: AgentExit) => void): void {
    this.#fiber = fiber
    this.#onAgentEnd = onEnd
    fiber.addObserver((exit) => this.#endAgent(exit))
    if (this.reason !== undefined) fiber.interruptUnsafe()
  }

  #endAgent(exit: AgentExit): void {
    if (this.agentEnded) return
    this.agentEnded = true
    this.#onAgentEnd?.(exit)
  }

  /** How many tool calls have no result yet. */
  get openCalls(): number {
    return this.journal?.unsettled.calls.size ?? 0
  }

  onLoss(loss: Loss): void {
    this.stop(loss, this.#process.now())
  }

  onIntents(count: number): Effect.Effect<void> {
    if (count <= Math.max(this.intents, this.noticed)) return Effect.void
    // Only once they are read they count for the heartbeat, which looks again where this look fails.
    this.noticed = count
    return this.#process.look(this.taskId)
  }

  /** Whether nothing may be written any more. */
  get isLost(): boolean {
    return this.reason === "fenced" || this.reason === "store"
  }

  /** Waits until it is stopped; one fiber may. */
  get stopped(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.reason !== undefined) resume(Effect.void)
      else this.#onStop = () => resume(Effect.void)
    })
  }

  /** Records why and interrupts. The first reason stands, but for those after which nothing may be written. */
  stop(reason: StopReason, now: number): void {
    const final = reason === "fenced" || reason === "store"
    if (this.reason !== undefined && !final) return
    this.reason = reason
    if (final) this.#process.onLost(this.taskId)
    this.#onStop?.()
    this.#graceEnds ??= now + this.#process.graceMillis
    this.#fiber?.interruptUnsafe()
  }

  /** Ends what time ends: the task at its deadline, finalizers after the grace. */
  tick(now: number): void {
    if (this.claim !== undefined && now - this.claim.startedAt >= Duration.toMillis(this.timeout)) {
      this.stop("timeout", now)
    }
    if (this.#graceEnds !== undefined && now >= this.#graceEnds && this.#fiber !== undefined) {
      this.#endAgent("abandoned")
    }
  }

  /** Takes note of what was asked; again is harmless. */
  apply(intents: ReadonlyArray<Intent>, now: number): void {
    this.intents = Math.max(this.intents, intents.length)
    for (const { key, value } of intents) {
      if (key === cancelKey) {
        if (this.reason === undefined) this.cancelReason = Option.getOrUndefined(decodeCancel(value))?.reason
        this.stop("cancel", now)
      } else {
        const decision = decodeDecision(value)
        if (Option.isSome(decision)) Deferred.doneUnsafe(this.#decision(key), Exit.succeed(decision.value))
      }
    }
  }

  awaitDecision(toolCallId: string): Effect.Effect<Decision> {
    return Effect.suspend(() => Deferred.await(this.#decision(decisionKey(toolCallId))))
  }

  isDecided(toolCallId: string): boolean {
    return Deferred.isDoneUnsafe(this.#decision(decisionKey(toolCallId)))
  }

  #decision(key: string): Deferred.Deferred<Decision> {
    const decisions = this.#decisions ??= new Map()
    let decision = decisions.get(key)
    if (decision === undefined) decisions.set(key, decision = Deferred.makeUnsafe())
    return decision
  }
}
