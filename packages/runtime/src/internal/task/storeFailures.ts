/**
 * Counts how often this process gave up a task because of a store, since the last progress of the task. If a store refuses a
 * message for ever, the task must end at some point.
 */
import type { TaskId } from "@perennial/domain/Ids"
import { Schedule } from "effect"

/**
 * How often a call of a store is repeated at once before the store counts as one that refuses it. A task that was given up too
 * often has no later attempt, and a store that works fails at times, too.
 */
export const untilRefused = Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3, duration: "5 seconds" }))

/** The number of tasks whose failures are remembered. The oldest are forgotten first. */
const maxTasks = 10_000

export class StoreFailures {
  readonly #counts = new Map<TaskId, number>()

  /** Begins an attempt at a task. */
  begin(taskId: TaskId): Attempt {
    return new Attempt(this, taskId, this.#counts.get(taskId) ?? 0)
  }

  /** Remembers how often a task was given up. */
  record(taskId: TaskId, failures: number): void {
    this.#counts.delete(taskId)
    if (failures === 0) return
    this.#counts.set(taskId, failures)
    // Tasks that another process took up stay in the map until they are the oldest.
    for (const oldest of this.#counts.keys()) if (this.#counts.size > maxTasks) this.#counts.delete(oldest)
  }
}

/** One attempt of this process at a task. */
export class Attempt {
  /** How often this process gave up the task before because of a store, since its last progress. */
  readonly failures: number
  readonly #all: StoreFailures
  readonly #taskId: TaskId
  #progressed = false
  #storeAnswers = true

  constructor(all: StoreFailures, taskId: TaskId, failures: number) {
    this.#all = all
    this.#taskId = taskId
    this.failures = failures
  }

  /** A message or a tool result was written. */
  progressed(): void {
    this.#progressed = true
  }

  /** Records whether the conversation store answered after a failed write. Without an answer the failure does not count. */
  conversationStoreAnswered(answered: boolean): void {
    this.#storeAnswers = answered
  }

  /** Ends the attempt. `failed` says whether it stopped because of a store. */
  end(failed: boolean): void {
    if (failed && !this.#storeAnswers) return
    const before = this.#progressed ? 0 : this.failures
    this.#all.record(this.#taskId, failed ? before + 1 : 0)
  }
}
