import { assert } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Option } from "effect"
import { begin, cancelled, create, ids, next, runnerId, text } from "./oneTask.ts"

const userId = UserId.make("alice")

/**
 * Calls every operation of the port on two tasks. `replies` returns the answers of the store since its last call. The body
 * of a message may be in the answer to a claim, and in no other answer.
 */
export const readByItsClaimAlone = Effect.fnUntraced(
  function*(backend: TaskBackend["Service"], replies: () => ReadonlyArray<unknown>) {
    const holdsBody = () => replies().map((reply) => JSON.stringify(reply).includes("hello"))
    const claim = yield* begin(backend)
    assert.deepStrictEqual(claim.input.content, [{ type: "text", text: "hello" }])
    assert.strictEqual(holdsBody().filter(Boolean).length, 1)
    yield* backend.append([{ claim, events: [text(2)] }])
    yield* create(backend, next)
    yield* create(backend, next)
    yield* backend.get(ids.taskId)
    yield* backend.list({ userId, limit: 10 })
    yield* backend.events(ids.taskId, { after: 0, limit: 10, maxBytes: 10_000 })
    yield* backend.lastSeqs([ids.taskId, next])
    yield* backend.unowned({ limit: 10 })
    yield* backend.heartbeat(runnerId, Duration.hours(1))
    yield* backend.putIntent(ids.taskId, { key: cancelKey, value: {} })
    yield* backend.putIntent(ids.taskId, { key: cancelKey, value: {} })
    assert.strictEqual(Option.getOrThrow(yield* backend.finish(claim, [cancelled(3)])).taskId, next)
    yield* backend.head(next)
    yield* backend.putIntent(next, { key: cancelKey, value: {} })
    yield* backend.ended({ after: 0, limit: 10 })
    yield* backend.deleteConversation({ conversationId: ids.conversationId, userId })
    const others = holdsBody()
    assert.isAbove(others.length, 10)
    assert.notInclude(others, true)
  }
)
