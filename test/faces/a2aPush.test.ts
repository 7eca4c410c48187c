/** Push notifications of A2A, from a server with webhooks to a receiver of the client. */
import { StreamResponse, TaskPushNotificationConfig, TaskState } from "@a2a-js/sdk"
import { PushNotificationNotSupportedError, TaskNotFoundError } from "@a2a-js/sdk/errors"
import { assert, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import * as A2a from "@perennial/http/faces/a2a/A2a"
import * as NodeServer from "@perennial/http/NodeServer"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as Webhooks from "@perennial/http/Webhooks"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Latch, Layer, Queue } from "effect"
import { HttpServer } from "effect/http"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { text } from "node:stream/consumers"
import * as Rest from "../support/rest.ts"
import { bindings, connect, say, stream } from "./clients/a2a.ts"
import * as Faces from "./server.ts"

const { layerAgent } = Faces

const start = Effect.gen(function*() {
  const context = yield* Layer.build(
    Server.layer({ faces: [A2a.face] }).pipe(
      Layer.provide(Tokens.layerLocal),
      Layer.provideMerge(NodeServer.layer({ port: 0, shutdownTimeout: 0 })),
      Layer.provide(TaskRuntime.layer.pipe(Layer.provide(Webhooks.layerAgents(layerAgent(Latch.makeUnsafe(false)))))),
      Layer.merge(Webhooks.layer({ interval: "20 millis" })),
      Layer.provide([MemoryStore.layer, NodeWebhookClient.layer({ allowPrivate: true })])
    )
  )
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
})

interface Notification {
  readonly headers: IncomingHttpHeaders
  readonly update: StreamResponse["payload"]
}

/** An application that is told about its tasks. */
const receiver = Effect.gen(function*() {
  const received = yield* Queue.unbounded<Notification>()
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      Queue.offerUnsafe(received, {
        headers: request.headers,
        update: StreamResponse.fromJSON(JSON.parse(body)).payload
      })
      response.end()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.sync(() => server.close())
  )
  const place = server.address()
  assert(place !== null && typeof place === "object")
  return { url: `http://127.0.0.1:${place.port}/hook`, received }
})

const stateOf = ({ update }: Notification) => {
  assert(update?.$case === "statusUpdate")
  return update.value.status?.state
}

/** An address that asks while a task waits is told so at once, and may be told more than once. */
const untilEnd = Effect.fnUntraced(function*(received: Queue.Queue<Notification>) {
  for (;;) {
    const notification = yield* Queue.take(received)
    if (stateOf(notification) !== TaskState.TASK_STATE_INPUT_REQUIRED) return notification
  }
})

const config = (taskId: string, url: string, more: object = {}) =>
  TaskPushNotificationConfig.fromJSON({ taskId, url, ...more })

for (const binding of bindings) {
  it.live(`${binding}: an address is told that a task waits for a person, and that it has ended`, () =>
    Effect.gen(function*() {
      const address = yield* start
      const { received, url } = yield* receiver
      const client = yield* connect(address, binding)
      const request = say("pay it")
      const asked = yield* stream(client, {
        ...request,
        configuration: {
          acceptedOutputModes: [],
          returnImmediately: false,
          taskPushNotificationConfig: config("", url, { id: "mine", token: "t1" })
        }
      })
      const question = yield* Queue.take(received)
      assert.strictEqual(stateOf(question), TaskState.TASK_STATE_INPUT_REQUIRED)
      assert.strictEqual(question.headers["x-a2a-notification-token"], "t1")
      assert.strictEqual(question.headers["content-type"], "application/a2a+json")

      const { id: taskId } = asked
      const authentication = { scheme: "Bearer", credentials: "secret" }
      yield* Effect.promise(() =>
        client.createTaskPushNotificationConfig(config(taskId, url, { id: "mine", authentication }))
      )
      const made = yield* Effect.promise(() => client.createTaskPushNotificationConfig(config(taskId, `${url}/other`)))
      const page = { tenant: "", taskId, pageSize: 0, pageToken: "" }
      const { configs } = yield* Effect.promise(() => client.listTaskPushNotificationConfig(page))
      assert.deepStrictEqual(configs.map(({ id, url }) => ({ id, url })), [
        { id: "mine", url },
        { id: made.id, url: `${url}/other` }
      ])
      const one = { tenant: "", taskId, id: made.id }
      assert.deepStrictEqual(yield* Effect.promise(() => client.getTaskPushNotificationConfig(one)), made)
      yield* Effect.promise(() => client.deleteTaskPushNotificationConfig(one))
      const missing = yield* Effect.promise(() => client.getTaskPushNotificationConfig(one).catch((error) => error))
      assert.instanceOf(missing, TaskNotFoundError)

      yield* stream(client, say("yes", { taskId }))
      const end = yield* untilEnd(received)
      assert.strictEqual(end.headers.authorization, "Bearer secret")
      // An ended task is told about at once.
      yield* Effect.promise(() => client.createTaskPushNotificationConfig(config(taskId, url, { token: "late" })))
      const late = yield* untilEnd(received)
      assert.deepStrictEqual([stateOf(end), stateOf(late), late.headers["x-a2a-notification-token"]], [
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_COMPLETED,
        "late"
      ])
      assert.notStrictEqual(late.headers["webhook-id"], end.headers["webhook-id"])
    }))

  it.live(`${binding}: a server without webhooks says that it sends no push notifications`, () =>
    Effect.gen(function*() {
      const { address } = yield* Faces.start([A2a.face])
      const client = yield* connect(address, binding)
      const card = yield* Effect.promise(() => client.getAgentCard())
      assert.isFalse(card.capabilities?.pushNotifications)
      const request = say("tell me")
      const configuration = {
        acceptedOutputModes: [],
        returnImmediately: false,
        taskPushNotificationConfig: config("", "https://example.com")
      }
      const refused = yield* Effect.promise(() =>
        client.sendMessage({ ...request, configuration }).catch((error) => error)
      )
      assert.instanceOf(refused, PushNotificationNotSupportedError)
      assert.deepStrictEqual((yield* Rest.get(`${address}/tasks`)).body.items, [])
    }))
}
