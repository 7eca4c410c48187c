/**
 * What was asked of the owner of one task: a cancel, and decisions about tool calls. The store keeps both; this module
 * remembers how far this process has read them.
 */
import { Decision } from "@perennial/domain/Decision"
import { cancelKey, cancelReason, decisionKey, type Intent } from "@perennial/domain/Intent"
import { Deferred, Effect, Exit, Option, Schema } from "effect"
import type { StopSignal } from "./stopSignal.ts"

const decodeDecision = Schema.decodeUnknownOption(Decision)

export class Intents {
  readonly #stop: StopSignal
  /** How many intents were applied. */
  #applied = 0
  /** How many intents the store was last seen to hold when a commit reported them; those may still have to be read. */
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
   * Whether a commit reports intents that nobody has read or begun to read. Only intents that were applied count for the
   * heartbeat, which reads again when a read has failed.
   */
  isNews(recorded: number): boolean {
    if (recorded <= Math.max(this.#applied, this.#reported)) return false
    this.#reported = recorded
    return true
  }

  /** Applies all recorded intents of the task. To apply an intent twice is harmless. */
  apply(intents: ReadonlyArray<Intent>): void {
    this.#applied = Math.max(this.#applied, intents.length)
    for (const { key, value } of intents) {
      if (key === cancelKey) {
        this.#stop.cancel(cancelReason(value))
        continue
      }
      const decision = decodeDecision(value)
      if (Option.isSome(decision)) Deferred.doneUnsafe(this.#decision(key), Exit.succeed(decision.value))
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
