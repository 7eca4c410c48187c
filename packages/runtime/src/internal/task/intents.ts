/**
 * The intents of one task: a cancel, and decisions about tool calls. The store has them; this module counts how many of them
 * this process has read.
 */
import { Decision } from "@perennial/domain/Decision"
import { cancelKey, cancelReason, decisionKey, type Intent, isDecisionKey } from "@perennial/domain/Intent"
import { Deferred, Effect, Exit, Option, Schema } from "effect"
import type { StopSignal } from "./stopSignal.ts"

const decodeDecision = Schema.decodeUnknownOption(Decision)

/** A decision that cannot be read allows nothing, and the call does not wait for another one. */
const unreadable: Decision = { approved: false, reason: "The decision that was recorded cannot be read." }

export class Intents {
  readonly #stop: StopSignal
  /** How many intents were applied. */
  #applied = 0
  /** The number of intents that the last commit reported. Some of them may still have to be read. */
  #reported = 0
  #decisions: Map<string, Deferred.Deferred<Decision>> | undefined

  constructor(stop: StopSignal) {
    this.#stop = stop
  }

  /** How many intents were applied. */
  get applied(): number {
    return this.#applied
  }

  /**
   * Whether a commit reports intents that are not read and not being read. For the heartbeat only applied intents count, so
   * that it reads again after a failed read.
   */
  isNews(recorded: number): boolean {
    if (recorded <= Math.max(this.#applied, this.#reported)) return false
    this.#reported = recorded
    return true
  }

  /** Applies all recorded intents of the task. Applying an intent again changes nothing. */
  apply(intents: ReadonlyArray<Intent>): void {
    this.#applied = Math.max(this.#applied, intents.length)
    for (const { key, value } of intents) {
      if (key === cancelKey) {
        this.#stop.cancel(cancelReason(value))
        continue
      }
      if (!isDecisionKey(key)) continue
      const decision = Option.getOrElse(decodeDecision(value), () => unreadable)
      Deferred.doneUnsafe(this.#decision(key), Exit.succeed(decision))
    }
  }

  /** Waits for the decision about a tool call. */
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
