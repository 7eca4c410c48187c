/**
 * What a `TaskBackend` lists and counts: the tasks of a user, and for operators the records of all users' tasks.
 */
import { isChildTask, type RunnerId } from "@perennial/domain/Ids"
import { fromLease, type RunnerAbout } from "@perennial/domain/Runner"
import { maxCount, type TaskCounts, type TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import { type RecordListing, toRecord } from "@perennial/domain/TaskRecords"
import * as Throughput from "@perennial/domain/Throughput"
import { Array, Clock, Effect } from "effect"
import * as TaskRow from "./TaskRow.ts"
import type { Entry } from "./TaskRow.ts"
import type { Tasks } from "./Tasks.ts"

type Service = TaskBackend["Service"]

/** The leases of runners. Times are milliseconds since 1970-01-01T00:00Z. */
export type Leases = Map<RunnerId, {
  readonly since: number
  readonly renewed: number
  readonly expires: number
  readonly about: RunnerAbout | undefined
}>

const countsOf = (all: ReadonlyArray<Entry>, withoutChildren = false): TaskCounts => {
  const entries = withoutChildren ? all.filter(({ task }) => !isChildTask(task.id)) : all
  const count = (matches: (entry: Entry) => boolean, among = entries) =>
    Math.min(maxCount, among.filter(matches).length)
  const ofStatus = (status: TaskStatus) => count(({ state }) => state.status === status)
  return {
    queued: ofStatus("queued"),
    running: ofStatus("running"),
    completed: ofStatus("completed"),
    error: ofStatus("error"),
    cancelled: ofStatus("cancelled"),
    waiting: count(TaskRow.isWaiting, all)
  }
}

/** The beginnings and ends of the last hour: one entry for each of them, which `Throughput.make` needs as sums. */
const minutesOf = (entries: ReadonlyArray<Entry>, from: number): ReadonlyArray<Throughput.MinuteCount> => {
  const times = entries.flatMap(({ state }) => [
    { kind: "started" as const, at: state.startedAt ?? Number.NEGATIVE_INFINITY },
    { kind: state.status, at: state.finishedAt ?? Number.NEGATIVE_INFINITY }
  ]).filter(({ at }) => at >= from)
  const groups = Array.groupBy(times, ({ at, kind }) => `${Math.floor(at / 60_000)} ${kind}`)
  return Object.values(groups).map((group) => ({
    kind: group[0].kind,
    minute: Math.floor(group[0].at / 60_000),
    count: group.length
  }))
}

export const make = (
  db: Tasks,
  leases: Leases
): Pick<Service, "list" | "counts" | "records" | "countRecords" | "throughput" | "runners"> => {
  const page = ({ limit, order, ...filter }: RecordListing & Pick<TaskFilter, "withoutChildren">) => {
    const found = db.select(filter)
    return (order === "oldest" ? found.toReversed() : found).slice(0, limit)
  }

  return {
    list: (options) => Effect.sync(() => page(options).map(TaskRow.toTask)),
    counts: ({ withoutChildren, ...filter }) => Effect.sync(() => countsOf(db.select(filter), withoutChildren)),
    records: (options) =>
      Effect.sync(() =>
        page(options).map((entry) =>
          toRecord(TaskRow.toTask(entry), { userId: entry.task.userId, runner: entry.state.runnerId })
        )
      ),
    countRecords: (filter) => Effect.sync(() => countsOf(db.select(filter))),
    throughput: (filter) =>
      Effect.map(
        Clock.currentTimeMillis,
        (now) => Throughput.make(now, minutesOf(db.select(filter), Throughput.begin(now)))
      ),
    runners: ({ limit }) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        [...leases]
          .filter(([, { expires }]) => expires > now)
          .toSorted(([a], [b]) => a < b ? -1 : 1)
          .slice(0, limit)
          .map(([id, lease]) => {
            const owned = db.select({ runner: id })
            return fromLease({ ...lease, id, running: owned.length, waiting: owned.filter(TaskRow.isWaiting).length })
          }))
  }
}
