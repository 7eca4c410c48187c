/**
 * The tasks that this process has submitted and that have not begun, as far as this process knows: what bounds its acceptance
 * (P11). Any runner of the cluster may begin them.
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array as Arr, Effect } from "effect"

/** The most tasks that one query asks about. */
const page = 1_000

/** A task that has not begun has the event `ack` alone. */
const ackSeq = 1

export class WaitingTasks {
  readonly #ids = new Set<TaskId>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#ids.size
  }

  add(id: TaskId): void {
    if (this.#ids.size < this.#limit) this.#ids.add(id)
  }

  delete(id: TaskId): void {
    this.#ids.delete(id)
  }

  /** Forgets the tasks that other runners have begun, and those that have ended. */
  review(backend: TaskBackend["Service"]) {
    return Effect.forEach(Arr.chunksOf(this.#ids, page), (ids) =>
      Effect.map(backend.lastSeqs(ids), (seqs) => {
        const unbegun = new Set(seqs.flatMap(({ lastSeq, taskId }) => lastSeq <= ackSeq ? [taskId] : []))
        for (const id of ids) if (!unbegun.has(id)) this.#ids.delete(id)
      }), { discard: true })
  }
}
