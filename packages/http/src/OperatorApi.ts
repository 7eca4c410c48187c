/**
 * The endpoints of operators, and the middleware that keeps everybody else out.
 *
 * @since 0.1.0
 */
import { AgentId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { Runner } from "@perennial/domain/Runner"
import { TaskCounts } from "@perennial/domain/Task"
import { TaskRecord } from "@perennial/domain/TaskRecords"
import { Throughput } from "@perennial/domain/Throughput"
import { Receipt } from "@perennial/domain/UserData"
import { Effect, Layer, Schema, Struct } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { cancelBody, describeTask, describeThroughput, page } from "./internal/apiParts.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import { describeTaskQuery, taskQuery } from "./internal/taskQuery.ts"
import { CurrentPrincipal } from "./Principal.ts"
import * as Problems from "./Problems.ts"
import { ExportStream } from "./UsersApi.ts"

/**
 * Refuses every request whose principal does not have the role `operator`. The endpoint also has `Authorization`, which finds
 * the principal first.
 *
 * @since 0.1.0
 * @category middleware
 */
export class Operator extends HttpApiMiddleware.Service<Operator>()("@perennial/http/OperatorApi/Operator", {
  error: Problems.OperatorOnly
}) {
  /** Asks the principal of the request. */
  static readonly layer: Layer.Layer<Operator> = Layer.succeed(
    Operator,
    Effect.fnUntraced(function*(handler) {
      const principal = yield* CurrentPrincipal
      if (principal?.roles?.includes("operator") === true) return yield* handler
      return yield* new Problems.OperatorOnly({ detail: "The token does not have the role `operator`." })
    })
  )
}

/** A text would tell what a conversation is about. */
const recordQuery = Struct.omit(taskQuery, ["q"])
const describeRecordQuery = Struct.omit(describeTaskQuery, ["q"])

const describeUser = { description: "The id of the user." }

/** Whose tasks are counted: those of all users, unless parameters select some. */
const whose = {
  userId: Schema.optionalKey(UserId),
  conversationId: Schema.optionalKey(ConversationId)
}
const describeWhose = {
  userId: { description: "Only the tasks of this user." },
  conversationId: { description: "Only the tasks of this conversation." }
}

/**
 * Read and cancel the tasks of any user: an operator sees the records of tasks, and not their events and messages. Export and erase
 * the data of any user: an export has everything.
 *
 * @since 0.1.0
 * @category groups
 */
export class OperatorApi extends HttpApiGroup.make("operator")
  .add(
    HttpApiEndpoint.get("records", "/operator/tasks", {
      query: { ...whose, runner: Schema.optionalKey(RunnerId), ...recordQuery },
      success: page(TaskRecord, TaskId),
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "List the tasks of all users",
      description:
        "A page has the records of the tasks that all parameters select. A page without `next` is the last page. A " +
        "record has nothing of what a task is about. `runner` names the process that executes a task: its host, its process id, " +
        "and a random part.",
      parameters: {
        ...describeWhose,
        runner: { description: "Only the tasks that this runner owns." },
        ...describeRecordQuery
      },
      responses: { 200: { description: "A page of records", example: { items: [examples.record] } } }
    })),
    HttpApiEndpoint.get("counts", "/operator/tasks/counts", {
      query: { ...whose, agentId: Schema.optionalKey(AgentId) },
      success: TaskCounts,
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Count the tasks of all users",
      description: "By status, and those that wait for a person. A number of 1,000 means 1,000 or more.",
      parameters: { ...describeWhose, agentId: { description: "Only the tasks of this agent." } },
      responses: { 200: { description: "The numbers of tasks", example: examples.counts } }
    })),
    HttpApiEndpoint.get("throughput", "/operator/throughput", {
      query: { userId: whose.userId },
      success: Throughput,
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Count beginnings and ends of the tasks of all users",
      description: describeThroughput,
      parameters: { userId: describeWhose.userId },
      responses: { 200: { description: "The minutes, oldest first", example: examples.throughput } }
    })),
    HttpApiEndpoint.get("runners", "/operator/runners", {
      success: Schema.Struct({ items: Schema.Array(Runner) }),
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "List the processes that execute tasks",
      description:
        "The first 1,000 runners whose leases have not run out, by id. `GET /operator/tasks?runner=` lists the tasks of one.",
      responses: { 200: { description: "The runners", example: { items: [examples.runner] } } }
    })),
    HttpApiEndpoint.get("list", "/operator/users/:userId/tasks", {
      params: { userId: UserId },
      query: recordQuery,
      success: page(TaskRecord, TaskId),
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "List the tasks of a user",
      description: "The same as `GET /operator/tasks` with this `userId`.",
      parameters: { userId: describeUser, ...describeRecordQuery },
      responses: { 200: { description: "A page of records", example: { items: [examples.record] } } }
    })),
    HttpApiEndpoint.get("get", "/operator/users/:userId/tasks/:id", {
      params: { userId: UserId, id: TaskId },
      success: TaskRecord,
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Read a task of a user",
      description: "The record of the task as it is now.",
      parameters: { userId: describeUser, id: describeTask },
      responses: { 200: { description: "The record of the task", example: examples.record } }
    })),
    HttpApiEndpoint.post("cancel", "/operator/users/:userId/tasks/:id/cancel", {
      params: { userId: UserId, id: TaskId },
      // The second is no body at all.
      payload: [cancelBody, Schema.Undefined],
      success: [TaskRecord, TaskRecord.pipe(HttpApiSchema.status("Accepted"))],
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Cancel a task of a user",
      description:
        "The same as `POST /tasks/{id}/cancel` of the user, with the record of the task. The log of the server says who did it.",
      parameters: { userId: describeUser, id: describeTask },
      example: { reason: "It costs too much" },
      bodyIsOptional: true,
      responses: {
        200: { description: "The task has ended, with any status", example: examples.cancelledRecord },
        202: { description: "The cancel is stored, and the task has not ended yet", example: examples.record }
      }
    })),
    HttpApiEndpoint.get("export", "/operator/users/:userId/export", {
      params: { userId: UserId },
      success: ExportStream,
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Export the data of a user",
      description: "The same as `GET /users/me/export` of the user. It has messages and events.",
      parameters: { userId: describeUser },
      responses: { 200: { description: "The export", example: examples.exportLine } }
    })),
    HttpApiEndpoint.delete("erase", "/operator/users/:userId", {
      params: { userId: UserId },
      success: Receipt,
      error: [Problems.RouteNotFound, Problems.UserStillActive, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Erase the data of a user",
      description: "The same as `DELETE /users/me` of the user.",
      parameters: { userId: describeUser },
      responses: { 200: { description: "The data are erased", example: examples.receipt } }
    }))
  )
  .middleware(Operator)
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({
      title: "Operator",
      description: "The tasks and data of all users. Needs the role `operator`."
    })
  )
{}
