/**
 * Records whether and why one task must stop in this process. The reason is recorded before the agent is interrupted, so that
 * the outcome of the task follows from it.
 */
import type { StopReason } from "@perennial/domain/CurrentTask"
import { Effect } from "effect"
import type { Publisher } from "../../TaskReaders.ts"
import type { LossReason } from "../log/ownedLog.ts"

const isLoss = (reason: StopReason | undefined): reason is LossReason => reason === "fenced" || reason === "store"

export class StopSignal {
  #reason: StopReason | undefined
  #cancelReason: string | undefined
  #listeners: ReadonlyArray<() => void> = []
  #publisher: Publisher | undefined

  get reason(): StopReason | undefined {
    return this.#reason
  }

  /** The reason that the cancel gave, if the task stops because of the cancel. */
  get cancelReason(): string | undefined {
    return this.#cancelReason
  }

  /** Whether this process may not write to the task any more. */
  get isLost(): boolean {
    return isLoss(this.#reason)
  }

  /** Requests a stop. The first reason counts, except that a loss replaces it. */
  stop(reason: StopReason): void {
    if (this.#reason !== undefined && (this.isLost || !isLoss(reason))) return
    this.#reason = reason
    if (isLoss(reason)) this.#publisher?.disown()
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  /** Requests a stop because of a cancel. */
  cancel(reason: string | undefined): void {
    if (this.#reason === undefined) this.#cancelReason = reason
    this.stop("cancel")
  }

  /** If the claim is lost, disowns the publisher at once, so that readers do not wait for the finalizers of the agent. */
  disownOnLoss(publisher: Publisher): void {
    this.#publisher = publisher
    if (this.isLost) publisher.disown()
  }

  /** Calls `listener` once, when a stop is requested, or at once if it was requested before. Returns a function that removes it. */
  onStop(listener: () => void): () => void {
    if (this.#reason !== undefined) {
      listener()
      return () => {}
    }
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener)
    }
  }

  /** Waits until a stop is requested. */
  get requested(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const withdraw = this.onStop(() => resume(Effect.void))
      return Effect.sync(withdraw)
    })
  }
}
