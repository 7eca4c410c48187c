/**
 * The handlers of operators: the records of all users' tasks and the processes that execute them, over `TaskRecords`, and what a
 * user may do with a task and with all data, in the name of that user.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { RunnerId, UserId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import { within } from "@perennial/domain/TaskFilter"
import { TaskManager } from "@perennial/domain/TaskManager"
import { TaskOwners } from "@perennial/domain/TaskOwners"
import { TaskRecord, TaskRecords, toRecord } from "@perennial/domain/TaskRecords"
import { Effect, type Layer, Option, Schema } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { cancelled } from "./internal/cancelled.ts"
import { idOf, paged } from "./internal/paged.ts"
import { makePersonalData } from "./internal/personalData.ts"
import { toListOptions } from "./internal/taskQuery.ts"
import { withProblems } from "./internal/withProblems.ts"
import type { Operator } from "./OperatorApi.ts"
import { type RefusalLimit, type RequestLimit, type RequestProblems, RouteNotFound } from "./Problems.ts"

/** How many runners an answer has at most. */
const maxRunners = 1_000

const encode = Schema.encodeSync(Schema.toCodecJson(TaskRecord))

const routeNotFound = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  ({ url }) =>
    Effect.fail(
      new RouteNotFound({
        path: url.slice(0, 200),
        detail: "This server executes no tasks and knows no records: nothing is at this path."
      })
    )
)

/**
 * The handlers of operators. Where the application provides no `TaskRecords`, those of all users' tasks answer 404.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"perennial", "operator">,
  never,
  TaskManager | Operator | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "operator",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const { erase, export: exportUser } = yield* makePersonalData
    const ownersOf = yield* TaskOwners
    const records = Option.match(yield* Effect.serviceOption(TaskRecords), {
      onNone: () => routeNotFound,
      onSome: Effect.succeed
    })
    const as = (userId: UserId) => Effect.provideService(CurrentUser, userId)
    const show = (userId: UserId, owners?: ReadonlyMap<unknown, RunnerId>) => (task: Task) =>
      toRecord(task, { userId, runner: owners?.get(task.id) })

    const recordsOf = Effect.fnUntraced(function*(userId: UserId, tasks: ReadonlyArray<Task>) {
      return tasks.map(show(userId, yield* withProblems(ownersOf(tasks.map(idOf)))))
    })

    return handlers.handleAll({
      records: Effect.fnUntraced(function*({ query }) {
        const { from, parent, to, ...filter } = toListOptions(query)
        const limit = query.limit ?? 20
        const { records: list } = yield* records
        const found = yield* withProblems(
          list({ ...filter, ...within(filter, { from, parent, to }), limit: limit + 1 })
        )
        return paged(found, limit, idOf)
      }),
      counts: ({ query }) => Effect.flatMap(records, ({ countRecords }) => withProblems(countRecords(query))),
      throughput: ({ query }) => Effect.flatMap(records, ({ throughput }) => withProblems(throughput(query))),
      runners: () =>
        Effect.flatMap(
          records,
          ({ runners }) => withProblems(Effect.map(runners({ limit: maxRunners }), (items) => ({ items })))
        ),
      list: Effect.fnUntraced(function*({ params: { userId }, query }) {
        const limit = query.limit ?? 20
        const found = yield* withProblems(as(userId)(manager.list({ ...toListOptions(query), limit: limit + 1 })))
        const page = paged(found, limit, idOf)
        return { ...page, items: yield* recordsOf(userId, page.items) }
      }),
      get: Effect.fnUntraced(function*({ params: { id, userId } }) {
        const task = yield* as(userId)(withProblems(manager.get(id)))
        return (yield* recordsOf(userId, [task]))[0] ?? show(userId)(task)
      }),
      cancel: Effect.fnUntraced(function*({ params: { id, userId }, payload }) {
        yield* Effect.logInfo(`The operator ${yield* CurrentUser} cancels task ${id} of user ${userId}.`)
        return yield* as(userId)(cancelled(manager, { show: show(userId), encode })(id, payload))
      }),
      export: ({ params }) => exportUser(params.userId),
      erase: ({ params }) => erase(params.userId)
    })
  })
)
