import { assert, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import * as Server from "@perennial/http/Server"
import { Context, Duration, Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { json, layerLocal, layerMemory, makeEcho } from "./support.ts"

const baseUrl = "http://localhost:3000"

/** A server in memory, its task backend, and a client of the server. */
const serve = Effect.gen(function*() {
  const context = yield* Layer.build(layerMemory(makeEcho()))
  const web = yield* Effect.acquireRelease(
    Effect.sync(() => Server.toWebHandler(Layer.merge(Layer.succeedContext(context), layerLocal))),
    (web) => Effect.promise(() => web.dispose())
  )
  const fetch: typeof globalThis.fetch = (input, init) => web.handler(new Request(input, init))
  const client = yield* Layer.build(
    Client.layer({ baseUrl }).pipe(
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetch))
    )
  )
  return {
    backend: Context.get(context, TaskBackend),
    manager: Context.get(context, TaskManager),
    call: (path: string, headers: Record<string, string> = {}) =>
      Effect.promise(() => fetch(`${baseUrl}${path}`, { headers })),
    client: Context.get(client, Client.PerennialClient)
  }
})

it.effect("SCENARIO 9: a pruned log is answered 410, with the path of the messages", () =>
  Effect.gen(function*() {
    const { backend, call, client, manager } = yield* serve
    const task = yield* manager.start({ message: "a b c" })
    const { task: { lastSeq } } = yield* manager.await(task.id)
    assert.strictEqual(yield* backend.prune({ finishedFor: Duration.zero, limit: 10 }), 1)

    const events = `/tasks/${task.id}/events`
    const accept = { accept: "application/json" }
    for (
      const answer of [
        call(events),
        call(`${events}?after=2`),
        call(events, { "last-event-id": "2" }),
        call(events, accept),
        call(`${events}?after=2`, accept)
      ]
    ) {
      const response = yield* answer
      assert.strictEqual(response.status, 410)
      assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
      assert.deepInclude(yield* json(response), {
        type: "urn:perennial:problem:events-expired",
        status: 410,
        taskId: task.id,
        detail: `The events of task "${task.id}" have expired. ` +
          "The messages of its conversation are still there: read those instead."
      })
    }
    for (const after of [0, 2]) {
      const error = yield* Effect.flip(Stream.runDrain(client.watch(TaskId.make(task.id), { after })))
      assert.deepInclude(error, { _tag: "EventsExpired", status: 410, taskId: task.id })
    }

    // A reader that has all events gets 204. A cursor beyond the log is refused with 422.
    assert.strictEqual((yield* call(events, { "last-event-id": String(lastSeq) })).status, 204)
    assert.deepStrictEqual(yield* Stream.runCollect(client.watch(task.id, { after: lastSeq })), [])
    assert.strictEqual((yield* call(`${events}?after=${lastSeq + 1}`)).status, 422)

    // The task and its messages stay.
    assert.deepInclude(yield* json(yield* call(`/tasks/${task.id}`)), { status: "completed", lastSeq })
    const messages = yield* json(yield* call(`/conversations/${task.conversationId}/messages`))
    assert.deepStrictEqual(messages.items.map(({ message }) => message.role), ["user", "assistant"])
  }))
