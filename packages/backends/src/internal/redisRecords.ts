/**
 * The lists and numbers of tasks in Redis: of a user, and of all users.
 */
import { RunnerId, UserId } from "@perennial/domain/Ids"
import { decodeAbout, fromLease } from "@perennial/domain/Runner"
import { maxCount, TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import { type RecordFilter, type RecordListing, toRecord } from "@perennial/domain/TaskRecords"
import * as Throughput from "@perennial/domain/Throughput"
import { Effect } from "effect"
import type { Redis } from "effect/persistence"
import { toTaskBackendError } from "./backendError.ts"
import type { RunScript, Script } from "./redisPrelude.ts"
import { withRetries } from "./redisRetry.ts"
import * as lists from "./redisTaskLists.ts"
import { toRow } from "./redisTaskRow.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"

type Service = TaskBackend["Service"]

const statuses = TaskStatus.literals

type WithoutChildren = Pick<TaskFilter, "withoutChildren">

const pageArguments = (options: RecordListing & WithoutChildren) => [
  options.userId ?? "",
  options.conversationId ?? "",
  options.agentId ?? "",
  options.before ?? "",
  options.after ?? "",
  options.limit,
  options.order === "oldest" ? 1 : 0,
  options.waiting === true ? 1 : 0,
  options.runner ?? "",
  options.withoutChildren === true ? 1 : 0,
  ...new Set(options.status ?? statuses)
]

const countArguments = ({ agentId, conversationId, userId, withoutChildren }: RecordFilter & WithoutChildren) => [
  userId ?? "",
  conversationId ?? "",
  agentId ?? "",
  maxCount,
  withoutChildren === true ? 1 : 0,
  ...statuses
]

const toCounts = (
  [queued = 0, running = 0, completed = 0, error = 0, cancelled = 0, waiting = 0]: ReadonlyArray<number>
) => ({
  queued,
  running,
  completed,
  error,
  cancelled,
  waiting
})

/** What the throughput counts, and the index of its times. */
const kinds: ReadonlyArray<readonly [Throughput.MinuteCount["kind"], string]> = [
  ["started", "begun"],
  ["completed", "finished-completed"],
  ["error", "finished-error"],
  ["cancelled", "finished-cancelled"]
]

export const make = (
  run: RunScript
): Pick<Service, "list" | "counts" | "records" | "countRecords" | "throughput" | "runners"> => {
  /** Adds the tasks of earlier versions to the indexes of all users, in steps, so that other processes wait for one step alone. */
  const recordTasks = Effect.gen(function*() {
    for (let cursor = "0";;) {
      cursor = yield* run(lists.recordTasks, [cursor])
      if (cursor === "0") return
    }
  })

  const recorded = <A>(
    script: Script<A | null>,
    args: ReadonlyArray<string | number>
  ): Effect.Effect<A | null, Redis.RedisError> =>
    Effect.filterOrElse(
      run(script, args),
      (answer) => answer !== null,
      () => Effect.andThen(recordTasks, run(script, args))
    )

  return {
    list: (options) =>
      withRetries(
        () =>
          Effect.flatMap(
            run(lists.list, pageArguments(options)),
            (rows) => tryCodec(() => rows.map((values) => toTask(toRow(values))))
          ),
        toTaskBackendError("list")
      ),
    counts: (filter) =>
      withRetries(() => Effect.map(run(lists.counts, countArguments(filter)), toCounts), toTaskBackendError("counts")),
    records: (options) =>
      withRetries(
        () =>
          Effect.flatMap(recorded(lists.records, pageArguments(options)), (rows) =>
            tryCodec(() =>
              (rows ?? []).map(([values, runner]) => {
                const row = toRow(values)
                return toRecord(toTask(row), {
                  userId: UserId.make(row.user_id),
                  runner: runner === null ? undefined : RunnerId.make(runner)
                })
              })
            )),
        toTaskBackendError("records")
      ),
    countRecords: (filter) =>
      withRetries(
        () => Effect.map(recorded(lists.countRecords, countArguments(filter)), (numbers) => toCounts(numbers ?? [])),
        toTaskBackendError("countRecords")
      ),
    throughput: ({ userId }) =>
      withRetries(
        () =>
          Effect.map(
            run(lists.throughput, [userId ?? "", ...kinds.map(([, index]) => index)]),
            ([now, ...numbers]) => {
              const first = Throughput.begin(now) / 60_000
              return Throughput.make(
                now,
                kinds.flatMap(([kind], i) =>
                  (numbers[i] ?? []).map((count, minute) => ({ kind, minute: first + minute, count }))
                )
              )
            }
          ),
        toTaskBackendError("throughput")
      ),
    runners: ({ limit }) =>
      withRetries(
        () =>
          Effect.flatMap(run(lists.runners, [limit]), (runners) =>
            tryCodec(() =>
              runners.map(([id, expires, since, renewed, about, running, waiting]) =>
                fromLease({
                  id: RunnerId.make(id),
                  since: since === null ? null : Number(since),
                  renewed: renewed === null ? null : Number(renewed),
                  expires: Number(expires),
                  about: decodeAbout(about),
                  running,
                  waiting
                })
              )
            )),
        toTaskBackendError("runners")
      )
  }
}
