/**
 * The tasks in memory: the result of all lines of the file, one after the other.
 */
import { type ConversationId, isChildTask, type TaskId, type UserId } from "@perennial/domain/Ids"
import type { Fence } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import type { RecordFilter } from "@perennial/domain/TaskRecords"
import { Effect } from "effect"
import * as TaskRow from "./TaskRow.ts"
import type { Change, Entry } from "./TaskRow.ts"

/** The largest number of events in a line when the file is rewritten. */
const lineEvents = 1_000

export const keyOf = (userId: UserId, key: string) => JSON.stringify([userId, key])

/** The tasks in memory. */
export class Tasks {
  readonly tasks = new Map<TaskId, Entry>()
  /** The tasks of each conversation in the order of acceptance. The first active task is the head. */
  readonly queues = new Map<ConversationId, ReadonlyArray<Entry>>()
  readonly keys = new Map<string, Entry>()
  /** The number of ends so far. */
  ends = 0

  apply({ accepted, ends, events = [], removed = [], states = [] }: Change): void {
    if (ends !== undefined) this.ends = ends
    if (accepted !== undefined) {
      const entry: Entry = { task: accepted, state: TaskRow.initial(accepted.id), log: [] }
      this.tasks.set(accepted.id, entry)
      this.queues.set(accepted.conversationId, [...this.queues.get(accepted.conversationId) ?? [], entry])
      if (accepted.idempotency !== undefined) this.keys.set(keyOf(accepted.userId, accepted.idempotency.key), entry)
    }
    for (const { line, taskId } of events) this.tasks.get(taskId)?.log.push(line)
    for (const state of states) {
      const entry = this.tasks.get(state.id)
      if (entry === undefined) continue
      // An end gets its number here, in the order of the lines, and keeps it in all later lines.
      entry.state = TaskRow.isActive({ state }) || state.endCursor !== undefined
        ? state
        : { ...state, endCursor: ++this.ends }
      if (state.pruned !== true) continue
      entry.log = []
      entry.task = TaskRow.withoutMessage(entry.task)
    }
    for (const id of removed) {
      const task = this.tasks.get(id)?.task
      if (task === undefined) continue
      this.tasks.delete(id)
      this.queues.delete(task.conversationId)
      if (task.idempotency !== undefined) this.keys.delete(keyOf(task.userId, task.idempotency.key))
    }
  }

  *snapshot(): Generator<Change> {
    yield { ends: this.ends }
    for (const { log, state, task } of this.tasks.values()) {
      yield { accepted: task, states: [state] }
      for (let i = 0; i < log.length; i += lineEvents) {
        yield { events: log.slice(i, i + lineEvents).map((line) => ({ taskId: task.id, line })) }
      }
    }
  }

  active(id: ConversationId): ReadonlyArray<Entry> {
    return (this.queues.get(id) ?? []).filter(TaskRow.isActive)
  }

  /** How many active tasks a user has. */
  activeOf(userId: UserId): number {
    let count = 0
    for (const entry of this.tasks.values()) if (entry.task.userId === userId && TaskRow.isActive(entry)) count++
    return count
  }

  head(id: ConversationId): Entry | undefined {
    return this.active(id)[0]
  }

  /** The round of a head that begins to wait: after those of its user, and `behind` the first of all. */
  nextRound(userId: UserId, behind: 0 | 1): number {
    const waiting = [...this.queues.keys()].flatMap((id) => this.head(id) ?? [])
      .filter(({ state }) => state.runnerId === undefined)
    const roundsOf = (entries: ReadonlyArray<Entry>) => entries.map(({ state }) => state.round ?? 0)
    const mine = waiting.filter(({ task }) => task.userId === userId)
    return waiting.length === 0
      ? 0
      : Math.max(Math.min(...roundsOf(waiting)) + behind, ...roundsOf(mine).map((round) => round + 1))
  }

  /** The change of the task that becomes the head when this task ends. */
  promotion({ task }: Entry, now: number): Change {
    const [head, next] = this.active(task.conversationId)
    return head?.task.id === task.id && next !== undefined
      ? { states: [{ ...next.state, round: this.nextRound(task.userId, 1), updatedAt: now }] }
      : {}
  }

  find(id: TaskId, userId?: UserId): Effect.Effect<Entry, TaskNotFound> {
    const entry = this.tasks.get(id)
    return entry === undefined || (userId !== undefined && entry.task.userId !== userId)
      ? Effect.fail(new TaskNotFound({ taskId: id }))
      : Effect.succeed(entry)
  }

  /** The tasks that a list has, newest first. */
  select(
    { after, agentId, before, conversationId, runner, status, userId, waiting, withoutChildren }:
      & RecordFilter
      & Pick<TaskFilter, "withoutChildren">
  ): ReadonlyArray<Entry> {
    return [...this.tasks.values()]
      .filter((entry) =>
        (userId === undefined || entry.task.userId === userId) &&
        (runner === undefined || entry.state.runnerId === runner) &&
        (conversationId === undefined || entry.task.conversationId === conversationId) &&
        (agentId === undefined || entry.task.agentId === agentId) &&
        (status === undefined || status.includes(entry.state.status)) &&
        (waiting !== true || TaskRow.isWaiting(entry)) &&
        (withoutChildren !== true || !isChildTask(entry.task.id)) &&
        (before === undefined || entry.task.id < before) &&
        (after === undefined || entry.task.id > after)
      )
      .toSorted((a, b) => a.task.id < b.task.id ? 1 : -1)
  }

  /** The task, if the owner with this token may write to it (P9). */
  fenced({ taskId, token }: Fence): Entry | undefined {
    const entry = this.tasks.get(taskId)
    return entry?.state.runnerId !== undefined && entry.state.token === token ? entry : undefined
  }
}
