import { assert, describe, it } from "@effect/vitest"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, UserId } from "@perennial/domain/Ids"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { counting } from "./support/agents.ts"
import { shared, startProcess } from "./support/processes.ts"

const conversationId = ConversationId.make("c1")

describe("a refused start", () => {
  it.effect("P1: leaves the conversation of a task that is accepted while an unused conversation is removed", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const deleting = yield* Deferred.make<void>()
      const deletes = yield* Deferred.make<void>()
      const slowly: ConversationStore["Service"]["delete"] = (key, options) =>
        Deferred.succeed(deleting, undefined).pipe(
          Effect.andThen(Deferred.await(deletes)),
          Effect.andThen(both.store.delete(key, options))
        )
      const slow = yield* startProcess({ ...both, store: { ...both.store, delete: slowly } }, [counting(1)], {
        capacity: 0
      })
      const { manager } = yield* startProcess(both, [counting(1)], { capacity: 0 })
      yield* manager.start({ message: "a", idempotencyKey: "k" })
      const refused = yield* Effect.forkChild(
        Effect.flip(slow.manager.start({ message: "b", conversationId, idempotencyKey: "k" }))
      )
      yield* Deferred.await(deleting)
      yield* manager.start({ message: "c", conversationId })
      yield* Deferred.succeed(deletes, undefined)
      assert.strictEqual((yield* Fiber.join(refused))._tag, "IdempotencyConflict")
      assert.strictEqual(
        (yield* both.store.get({ id: conversationId, userId: UserId.make("local") })).id,
        conversationId
      )
    }).pipe(Effect.scoped))

  it.effect("P3: the events of a conversation can be followed by its task, while the conversation is removed and made again", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(both, [counting(1)], { capacity: 0 })
      const key = { id: conversationId, userId: UserId.make("local") }
      assert.strictEqual((yield* Effect.flip(manager.conversationEvents(conversationId)))._tag, "ConversationNotFound")
      const task = yield* manager.start({ message: "a", conversationId })
      yield* both.store.delete(key, { onlyEmpty: true })
      const events = yield* manager.conversationEvents(conversationId)
      const [first] = yield* Stream.runCollect(Stream.take(events, 1))
      assert.deepStrictEqual(first?.event, {
        type: "ack",
        taskId: task.id,
        conversationId,
        messageId: messageId(task.id, 1)
      })
    }).pipe(Effect.scoped))
})
