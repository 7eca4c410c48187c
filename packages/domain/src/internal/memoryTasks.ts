/**
 * The tasks of the memory backend, and the steps that several of its methods share.
 *
 * Every step is synchronous and takes the store's time, in milliseconds.
 */
import { Option } from "effect"
import type { ConversationId, RunnerId, TaskId, UserId } from "../Ids.ts"
import { cancelKey, type Intent, interruptReason } from "../Intent.ts"
import { type Fence, type Head, isProgress } from "../TaskBackend.ts"
import { type StoredEvent, type Terminal, terminalStatus } from "../TaskEvent.ts"
import { added, type ConversationQueue, intentValue, isHead, type MemoryLease, type Row, toHead } from "./memoryTask.ts"

export class MemoryTasks {
  readonly rows = new Map<TaskId, Row>()
  readonly queues = new Map<ConversationId, ConversationQueue>()
  readonly #byKey = new Map<string, Row>()
  /** How many active tasks each user has; a user without any is left out. */
  readonly #active = new Map<UserId, number>()
  readonly leases = new Map<RunnerId, MemoryLease>()
  readonly owned = new Map<RunnerId, Set<Row>>()
  /** Heads without an owner, in no particular order. */
  readonly waiting = new Set<Row>()
  /** Ended tasks with a log, in the order of their ends. */
  readonly withLog = new Set<Row>()
  /** All ended tasks in the order of their ends: cursor `n` at index `n - 1`; undefined once the task was deleted. */
  readonly ends: Array<Row | undefined> = []

  find(id: TaskId, userId: UserId | undefined): Row | undefined {
    const row = this.rows.get(id)
    return userId === undefined || row?.task.userId === userId ? row : undefined
  }

  /** The task of an idempotency key. */
  findByKey(userId: UserId, key: string): Row | undefined {
    return this.#byKey.get(JSON.stringify([userId, key]))
  }

  activeOf(userId: UserId): number {
    return this.#active.get(userId) ?? 0
  }

  #countActive(userId: UserId, change: 1 | -1): void {
    const count = this.activeOf(userId) + change
    if (count === 0) this.#active.delete(userId)
    else this.#active.set(userId, count)
  }

  add(row: Row): void {
    const { conversationId, id, idempotency, userId } = row.task
    const { queue } = row
    this.queues.set(conversationId, queue)
    this.rows.set(id, row)
    queue.rows = added(queue.rows, row)
    queue.active = added(queue.active, row)
    this.#countActive(userId, 1)
    if (idempotency !== undefined) this.#byKey.set(JSON.stringify([userId, idempotency.key]), row)
    if (isHead(row)) this.#await(row, 0)
  }

  /** Removes a task that has ended. */
  remove(row: Row): void {
    const { id, idempotency, userId } = row.task
    this.rows.delete(id)
    this.withLog.delete(row)
    this.ends[row.endCursor - 1] = undefined
    if (idempotency !== undefined) this.#byKey.delete(JSON.stringify([userId, idempotency.key]))
  }

  isLive(runnerId: RunnerId, now: number): boolean {
    return (this.leases.get(runnerId)?.expires ?? 0) > now
  }

  isUnowned(row: Row, now: number): boolean {
    return isHead(row) && (row.runnerId === undefined || !this.isLive(row.runnerId, now))
  }

  /** The row that the claim may write to, or undefined (P9). */
  fenced({ taskId, token }: Fence): Row | undefined {
    const row = this.rows.get(taskId)
    return row !== undefined && row.runnerId !== undefined && row.token === token ? row : undefined
  }

  /** A new head waits for its first owner, in the next round of its user and at least `behind` the oldest round. */
  #await(row: Row, behind: 0 | 1): void {
    let oldest = Number.POSITIVE_INFINITY
    let next = 0
    for (const { round, task } of this.waiting) {
      oldest = Math.min(oldest, round)
      if (task.userId === row.task.userId) next = Math.max(next, round + 1)
    }
    row.round = this.waiting.size === 0 ? 0 : Math.max(oldest + behind, next)
    this.waiting.add(row)
  }

  own(row: Row, runnerId: RunnerId): void {
    this.disown(row)
    this.waiting.delete(row)
    let mine = this.owned.get(runnerId)
    if (mine === undefined) this.owned.set(runnerId, mine = new Set())
    mine.add(row)
    row.runnerId = runnerId
  }

  disown(row: Row): void {
    if (row.runnerId === undefined) return
    this.owned.get(row.runnerId)?.delete(row)
    row.runnerId = undefined
  }

  write(row: Row, events: ReadonlyArray<StoredEvent>, now: number): void {
    for (const stored of events) {
      if (row.log !== undefined) row.log = added(row.log, stored)
      if (isProgress(stored)) row.failures = 0
    }
    row.lastSeq += events.length
    row.updatedAt = now
  }

  record(row: Row, intent: Intent, now: number): void {
    row.intents = [...row.intents, intent]
    row.updatedAt = now
  }

  /** Ends a task and makes the next task of its conversation the head. */
  end(row: Row, terminal: Terminal, now: number): Option.Option<Head> {
    const wasHead = isHead(row)
    this.disown(row)
    this.waiting.delete(row)
    row.status = terminalStatus(terminal)
    if (terminal.type === "error") row.error = { code: terminal.error, detail: terminal.detail }
    row.finishedAt = now
    row.endCursor = this.ends.push(row)
    this.withLog.add(row)
    row.queue.active = row.queue.active.filter((other) => other !== row)
    this.#countActive(row.task.userId, -1)
    const next = row.queue.active[0]
    if (!wasHead || next === undefined) return Option.none()
    next.updatedAt = now
    this.#await(next, 1)
    return Option.some(toHead(next))
  }

  /** Ends a task that was never claimed: it has no owner that could write to its log. */
  endUnbegun(row: Row, reason: string | undefined, now: number): Option.Option<Head> {
    const event: Terminal = {
      type: "cancelled",
      taskId: row.task.id,
      conversationId: row.task.conversationId,
      ...(reason === undefined ? undefined : { reason })
    }
    this.write(row, [{ seq: row.lastSeq + 1, at: now, event }], now)
    return this.end(row, event, now)
  }

  interrupt(queue: ConversationQueue, now: number) {
    const cancelled: Array<TaskId> = []
    const cancelling: Array<TaskId> = []
    // From the back, so that no task is promoted only to be ended next.
    for (const row of queue.active.toReversed()) {
      if (row.attempt === 0) {
        this.endUnbegun(row, interruptReason, now)
        cancelled.unshift(row.task.id)
      } else {
        if (Option.isNone(intentValue(row, cancelKey))) {
          this.record(row, { key: cancelKey, value: { reason: interruptReason } }, now)
        }
        cancelling.unshift(row.task.id)
      }
    }
    return { cancelled, cancelling }
  }
}
