import { assert, layer } from "@effect/vitest"
import { ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import * as TaskError from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Api } from "@perennial/http/Api"
import { Authorization } from "@perennial/http/Authorization"
import * as ConversationHandlers from "@perennial/http/ConversationHandlers"
import * as Handlers from "@perennial/http/Handlers"
import { Operator } from "@perennial/http/OperatorApi"
import * as Sse from "@perennial/http/Sse"
import * as Tickets from "@perennial/http/Tickets"
import { Effect, Exit, Fiber, Latch, Layer, Stream } from "effect"
import { HttpServer } from "effect/http"
import { HttpApiMiddleware, HttpApiTest } from "effect/http-api"
import { TestClock } from "effect/testing"
import { layerRequestLimits } from "../src/internal/requestCounter.ts"
import { layerRequestProblems } from "../src/internal/requestProblems.ts"
import { layerLocal, layerMemory, makeEcho } from "./support.ts"

const environment = (manager: ReturnType<typeof layerMemory>) =>
  Layer.mergeAll(
    Layer.mergeAll(Handlers.layerTasks, ConversationHandlers.layer, Handlers.layerSystem).pipe(
      Layer.provideMerge([manager, Sse.layer()])
    ),
    HttpServer.layerServices
  ).pipe(Layer.provideMerge([
    layerRequestProblems,
    Operator.layer,
    layerRequestLimits,
    Tickets.layer(),
    layerLocal,
    HttpApiMiddleware.layerClient(Authorization, ({ next, request }) => next(request))
  ]))

const makeClient = HttpApiTest.groups(Api, ["tasks", "conversations", "system"])

layer(environment(layerMemory(makeEcho())))("the typed client", (it) => {
  it.effect("starts, reads, lists, and follows a task", () =>
    Effect.gen(function*() {
      const client = yield* makeClient
      const conversationId = ConversationId.make("followed")
      const { body: task, headers } = yield* client.tasks.start({
        payload: { message: "a b", conversationId },
        headers: {}
      })
      assert.strictEqual(headers.location, `/tasks/${task.id}`)
      const stream = yield* client.tasks.events({ params: { id: task.id }, query: {}, headers: {} })
      assert(Stream.isStream(stream))
      const frames = yield* Stream.runCollect(stream)
      assert.deepStrictEqual(frames.map(({ data, id }) => [id, data.type]), [
        [1, "ack"],
        [2, "started"],
        [3, "text"],
        [4, "text"],
        [5, "message"],
        [6, "done"]
      ])
      const ended = yield* client.tasks.events({ params: { id: task.id }, query: { after: 6 }, headers: {} })
      assert.isUndefined(ended)
      const page = yield* client.tasks.events({
        params: { id: task.id },
        query: { after: 4, limit: 1 },
        headers: { accept: "application/json" }
      })
      assert(page !== undefined && !Stream.isStream(page))
      assert.deepStrictEqual([page.events.map(({ seq }) => seq), page.lastSeq, page.ended], [[5], 6, true])
      assert.strictEqual((yield* client.tasks.get({ params: { id: task.id } })).status, "completed")
      const list = yield* client.tasks.list({ query: { conversationId, status: ["completed", "error"] } })
      assert.deepStrictEqual(list.items.map(({ id }) => id), [task.id])
      const messages = yield* client.conversations.messages({ params: { id: conversationId }, query: { limit: 1 } })
      assert.strictEqual(messages.next, MessageId.make(`${task.id}/1`))
    }))

  it.effect("fails with a tagged error for every problem", () =>
    Effect.gen(function*() {
      const client = yield* makeClient
      const conversationId = ConversationId.make("busy")
      const payload = { message: "hold", conversationId }
      const { body: task } = yield* client.tasks.start({ payload, headers: {} })
      const busy = yield* Effect.flip(client.tasks.start({ payload, headers: {} }))
      assert(busy._tag === "ConversationBusy")
      assert.strictEqual(busy.activeTaskId, task.id)
      const none = yield* Effect.flip(client.tasks.get({ params: { id: TaskId.make("none") } }))
      assert(none._tag === "TaskNotFound")
      assert.strictEqual(none.message, "There is no task \"none\".")
      const call = yield* Effect.flip(
        client.tasks.decide({ params: { id: task.id, toolCallId: "x" }, payload: { approved: true } })
      )
      assert.strictEqual(call._tag, "ToolCallNotFound")
      const ahead = yield* Effect.flip(
        client.tasks.events({ params: { id: task.id }, query: { after: 9 }, headers: {} })
      )
      assert.strictEqual(ahead._tag, "CursorAhead")
      const cancelled = yield* client.tasks.cancel({ params: { id: task.id }, payload: undefined })
      assert.strictEqual(cancelled.status, "cancelled")
    }))
})

const slow: { wait: Effect.Effect<void> } = { wait: Effect.void }

const broken = Layer.effect(
  TaskManager,
  Effect.map(TaskManager, (inner) => {
    const failure = new TaskError.TaskBackendError({ operation: "get", cause: new Error("secret host name") })
    return TaskManager.of({
      ...inner,
      list: () => Effect.andThen(Effect.suspend(() => slow.wait), Effect.fail(failure)),
      get: (id) => id === "bug" ? Effect.die(new Error("secret host name")) : inner.get(id),
      cancel: () => Effect.never
    })
  })
).pipe(Layer.provideMerge(layerMemory(makeEcho())))

layer(environment(broken))("when the runtime fails or is slow", (it) => {
  it.effect("a failing store is answered 503 and a bug 500, without the cause", () =>
    Effect.gen(function*() {
      const client = yield* makeClient
      const unavailable = yield* Effect.flip(client.tasks.list({ query: {} }))
      assert(unavailable._tag === "Unavailable")
      assert.notInclude(JSON.stringify(unavailable), "secret")
      assert.strictEqual((yield* Effect.flip(client.system.ready({})))._tag, "Unavailable")
      assert.isTrue((yield* client.system.health({})).ok)
      const bug = yield* Effect.flip(client.tasks.get({ params: { id: TaskId.make("bug") } }))
      assert(bug._tag === "InternalError")
      assert.notInclude(JSON.stringify(bug), "secret")
    }))

  it.effect("`ready` fails if the store has not answered after two seconds, also if its effect cannot be interrupted", () =>
    Effect.gen(function*() {
      const client = yield* makeClient
      const stuck = yield* Latch.make()
      const looks = { begun: 0 }
      slow.wait = Effect.andThen(Effect.sync(() => looks.begun++), Effect.uninterruptible(stuck.await))
      for (let i = 0; i < 3; i++) {
        const asked = yield* Effect.forkChild(Effect.flip(client.system.ready({})))
        yield* TestClock.adjust("2 seconds")
        const answer = asked.pollUnsafe()
        assert(answer !== undefined && Exit.isSuccess(answer) && answer.value._tag === "Unavailable")
        assert.strictEqual(answer.value.message, "The store did not answer within 2 seconds.")
      }
      assert.strictEqual(looks.begun, 1)
      slow.wait = Effect.void
      yield* stuck.open
      yield* Effect.yieldNow
      assert.notStrictEqual(
        (yield* Effect.flip(client.system.ready({}))).message,
        "The store did not answer within 2 seconds."
      )
    }))

  it.effect("a cancel is answered 202 with the task if the task has not ended after 10 seconds", () =>
    Effect.gen(function*() {
      const client = yield* makeClient
      const { body: task } = yield* client.tasks.start({ payload: { message: "hold" }, headers: {} })
      const cancel = yield* Effect.forkChild(
        client.tasks.cancel<"response-only">({
          params: { id: task.id },
          payload: {},
          responseMode: "response-only"
        })
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(cancel)).status, 202)
    }))
})
