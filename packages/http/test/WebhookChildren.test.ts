/** Webhooks are told of tasks that somebody started, and not of the child tasks of these. */
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { WebhookClient } from "@perennial/http/WebhookClient"
import * as Webhooks from "@perennial/http/Webhooks"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import { ask, makeResearcher, makeWriter } from "../../../test/support/delegating.ts"

describe("webhooks and child tasks", () => {
  it.effect("the end of a child task has no message", () =>
    Effect.gen(function*() {
      const memory = yield* Layer.build(MemoryStore.layer)
      const researcher = yield* makeResearcher
      yield* researcher.release.open
      const agents = Agents.layer([yield* makeWriter([[ask("oak"), ask("elm")], ["written"]]), researcher.agent])
      const runtime = yield* Layer.build(
        TaskRuntime.layer.pipe(Layer.provide(agents), Layer.provide(Layer.succeedContext(memory)))
      )
      const manager = Context.get(runtime, TaskManager)
      yield* Context.get(memory, WebhookStore).put(
        { id: WebhookId.make("a"), userId: UserId.make("local") },
        {
          url: "https://a.example/hook",
          topics,
          content: false,
          secrets: [{ value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
        }
      )
      const bodies = yield* Queue.unbounded<string>()
      const client = WebhookClient.of({
        check: () => Effect.void,
        post: ({ body }) => Effect.as(Queue.offer(bodies, body), 200)
      })
      yield* Layer.build(
        Webhooks.layer().pipe(
          Layer.provide(Layer.succeed(WebhookClient, client)),
          Layer.provide(Layer.succeedContext(memory))
        )
      )
      const { id } = yield* manager.start({ message: "Write." })
      yield* manager.await(id)
      yield* TestClock.adjust("1 second")
      assert.include(yield* Queue.take(bodies), `"${id}"`)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Queue.size(bodies), 0)
      const ends = yield* Context.get(memory, TaskBackend).ended({ after: 0, limit: 10 })
      assert.lengthOf(ends, 3)
    }))
})
