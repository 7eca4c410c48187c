/**
 * The lists and numbers of tasks in memory: of a user, and of all users.
 */
import { Effect } from "effect"
import { isChildTask } from "../Ids.ts"
import { fromLease } from "../Runner.ts"
import { isTerminal, maxCount, type TaskCounts, type TaskStatus } from "../Task.ts"
import type { TaskBackend } from "../TaskBackend.ts"
import type { TaskFilter } from "../TaskFilter.ts"
import { maxOwned, type RecordFilter, type RecordListing, toRecord } from "../TaskRecords.ts"
import * as TaskSummary from "../TaskSummary.ts"
import * as Throughput from "../Throughput.ts"
import { type Row, toTask } from "./memoryTask.ts"
import type { MemoryTasks } from "./memoryTasks.ts"

type Service = TaskBackend["Service"]
type WithoutChildren = Pick<TaskFilter, "withoutChildren">

const newestFirst = (a: Row, b: Row) => a.task.id < b.task.id ? 1 : -1
const isWaiting = (row: Row) => !isTerminal(row.status) && TaskSummary.isWaiting(row.summary)

const countsOf = (all: ReadonlyArray<Row>, withoutChildren = false): TaskCounts => {
  const rows = withoutChildren ? all.filter(({ task }) => !isChildTask(task.id)) : all
  const count = (matches: (row: Row) => boolean, among = rows) => Math.min(maxCount, among.filter(matches).length)
  const ofStatus = (status: TaskStatus) => count((row) => row.status === status)
  return {
    queued: ofStatus("queued"),
    running: ofStatus("running"),
    completed: ofStatus("completed"),
    error: ofStatus("error"),
    cancelled: ofStatus("cancelled"),
    waiting: count(isWaiting, all)
  }
}

/** Runs one step at the current time, in milliseconds. */
type Step = <A, E>(body: (now: number) => Effect.Effect<A, E>) => Effect.Effect<A, E>

export const make = (
  tasks: MemoryTasks,
  step: Step
): Pick<Service, "list" | "counts" | "records" | "countRecords" | "throughput" | "runners"> => {
  const select = (
    {
      after,
      agentId,
      before,
      conversationId,
      runner,
      status,
      userId,
      waiting = false,
      withoutChildren = false
    }: RecordFilter & WithoutChildren
  ): Array<Row> => {
    const from: Iterable<Row> = runner !== undefined
      ? [...tasks.owned.get(runner) ?? []].slice(0, maxOwned)
      : conversationId === undefined
      ? tasks.rows.values()
      : tasks.queues.get(conversationId)?.rows ?? []
    const found: Array<Row> = []
    for (const row of from) {
      const { task } = row
      if ((userId !== undefined && task.userId !== userId) || (before !== undefined && task.id >= before)) continue
      if (after !== undefined && task.id <= after) continue
      if (conversationId !== undefined && task.conversationId !== conversationId) continue
      if (agentId !== undefined && task.agentId !== agentId) continue
      if (withoutChildren && isChildTask(task.id)) continue
      if (waiting && !isWaiting(row)) continue
      if (status === undefined || status.includes(row.status)) found.push(row)
    }
    return found
  }

  const page = ({ limit, order, ...filter }: RecordListing & WithoutChildren) => {
    const found = select(filter).toSorted(newestFirst)
    return (order === "oldest" ? found.toReversed() : found).slice(0, limit)
  }

  return {
    list: (options) => Effect.sync(() => page(options).map(toTask)),
    counts: ({ withoutChildren, ...filter }) => Effect.sync(() => countsOf(select(filter), withoutChildren)),
    records: (options) =>
      Effect.sync(() =>
        page(options).map((row) => toRecord(toTask(row), { userId: row.task.userId, runner: row.runnerId }))
      ),
    countRecords: (filter) => Effect.sync(() => countsOf(select(filter))),
    throughput: ({ userId }) =>
      step((now) => {
        const from = Throughput.begin(now)
        const counts = new Map<string, Throughput.MinuteCount>()
        const add = (kind: Throughput.MinuteCount["kind"], at: number | undefined) => {
          if (at === undefined || at < from) return
          const minute = Math.floor(at / 60_000)
          const key = `${kind} ${minute}`
          counts.set(key, { kind, minute, count: (counts.get(key)?.count ?? 0) + 1 })
        }
        for (const { finishedAt, startedAt, status, task } of tasks.rows.values()) {
          if (userId !== undefined && task.userId !== userId) continue
          add("started", startedAt)
          add(status, finishedAt)
        }
        return Effect.succeed(Throughput.make(now, [...counts.values()]))
      }),
    runners: ({ limit }) =>
      step((now) =>
        Effect.succeed(
          [...tasks.leases]
            .filter(([, { expires }]) => expires > now)
            .toSorted(([a], [b]) => a < b ? -1 : 1)
            .slice(0, limit)
            .map(([id, lease]) => {
              const owned = [...tasks.owned.get(id) ?? []]
              return fromLease({ ...lease, id, running: owned.length, waiting: owned.filter(isWaiting).length })
            })
        )
      )
  }
}
