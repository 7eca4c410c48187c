/** What other processes said about heads without an owner, until the next look at the store. */
import type { TaskId } from "@perennial/domain/Ids"
import { Latch } from "effect"

/** The most heads that are known by their ids (P11). Others are found by their second look. */
const most = 1_000

export class ReleasedHeads {
  #ids = new Set<TaskId>()
  readonly #hinted = Latch.makeUnsafe(false)

  /** Returns as soon as there is a hint. */
  readonly hinted = this.#hinted.await

  /** Without an id: any heads may have no owner. */
  add(id: TaskId | undefined): void {
    if (id !== undefined && this.#ids.size < most) this.#ids.add(id)
    this.#hinted.openUnsafe()
  }

  /** The heads of the hints since the last call. */
  take(): ReadonlySet<TaskId> {
    const ids = this.#ids
    this.#ids = new Set()
    this.#hinted.closeUnsafe()
    return ids
  }
}
