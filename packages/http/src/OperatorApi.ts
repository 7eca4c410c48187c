/**
 * The endpoints of operators, and the middleware that keeps everybody else out.
 *
 * @since 0.1.0
 */
import { RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { Task } from "@perennial/domain/Task"
import { Receipt } from "@perennial/domain/UserData"
import { Effect, Layer, Schema, Struct } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { cancelBody, describeTask, page } from "./internal/apiParts.ts"
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

/**
 * A task as operators see it: without its title and preview, and with the runner that executes it.
 *
 * @since 0.1.0
 * @category models
 */
export const OperatorTask = Task.mapFields(
  (fields) => ({
    ...fields,
    /** The process that owns the task: `<host>-<pid>-<id>`, where the process has a name. Only while it has an owner. */
    runner: Schema.optionalKey(RunnerId)
  })
).annotate({ identifier: "OperatorTask" })

/**
 * @since 0.1.0
 * @category models
 */
export interface OperatorTask extends Schema.Schema.Type<typeof OperatorTask> {}

const runner = "web-2-4711-01a2061b-4b6f-773b-924f-a99c20363c38"

/** A text would tell what a conversation is about. */
const recordQuery = Struct.omit(taskQuery, ["q"])
const describeRecordQuery = Struct.omit(describeTaskQuery, ["q"])

const describeUser = { description: "The id of the user." }

/**
 * Read and cancel the tasks of any user: an operator sees the records of tasks, and not their events and messages. Export and erase
 * the data of any user: an export has everything.
 *
 * @since 0.1.0
 * @category groups
 */
export class OperatorApi extends HttpApiGroup.make("operator")
  .add(
    HttpApiEndpoint.get("list", "/operator/users/:userId/tasks", {
      params: { userId: UserId },
      query: recordQuery,
      success: page(OperatorTask, TaskId),
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "List the tasks of a user",
      description:
        "A page has the tasks that all parameters select. A page without `next` is the last page. `runner` names the " +
        "process that executes a task: its host, its process id, and a random part.",
      parameters: { userId: describeUser, ...describeRecordQuery },
      responses: { 200: { description: "A page of tasks", example: { items: [{ ...examples.running, runner }] } } }
    })),
    HttpApiEndpoint.get("get", "/operator/users/:userId/tasks/:id", {
      params: { userId: UserId, id: TaskId },
      success: OperatorTask,
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Read a task of a user",
      description: "The task as it is now, without its events and messages.",
      parameters: { userId: describeUser, id: describeTask },
      responses: { 200: { description: "The task", example: examples.running } }
    })),
    HttpApiEndpoint.post("cancel", "/operator/users/:userId/tasks/:id/cancel", {
      params: { userId: UserId, id: TaskId },
      // The second is no body at all.
      payload: [cancelBody, Schema.Undefined],
      success: [Task, Task.pipe(HttpApiSchema.status("Accepted"))],
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Cancel a task of a user",
      description: "The same as `POST /tasks/{id}/cancel` of the user.",
      parameters: { userId: describeUser, id: describeTask },
      example: { reason: "It costs too much" },
      bodyIsOptional: true,
      responses: {
        200: { description: "The task has ended, with any status", example: examples.cancelled },
        202: { description: "The cancel is stored, and the task has not ended yet", example: examples.running }
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
