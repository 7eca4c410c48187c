import { assert, describe, it } from "@effect/vitest"
import * as Ids from "@perennial/domain/Ids"
import { Effect, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe("Ids", () => {
  it.effect("new ids are UUIDv7s that sort in the order in which they were made, also within a millisecond", () =>
    Effect.gen(function*() {
      const newId = yield* Ids.NewId
      const ids: Array<string> = []
      for (let i = 0; i < 2_000; i++) {
        ids.push(yield* newId)
        if (i % 100 === 0) yield* TestClock.adjust("1 millis")
      }
      for (const id of ids) assert.match(id, uuidV7)
      assert.deepStrictEqual(ids.toSorted(), ids)
      assert.strictEqual(new Set(ids).size, ids.length)
    }))

  it.effect("a test makes its ids predictable by providing NewId", () =>
    Effect.gen(function*() {
      const newId = yield* Ids.NewId
      assert.strictEqual(yield* newId, "id-1")
    }).pipe(Effect.provideService(Ids.NewId, Effect.succeed("id-1"))))

  it("ids of clients have 1 to 200 characters", () => {
    const accepts = Schema.is(Ids.ConversationId)
    assert.isFalse(accepts(""))
    assert.isTrue(accepts("x"))
    assert.isTrue(accepts("x".repeat(200)))
    assert.isFalse(accepts("x".repeat(201)))
  })

  it("an id with a control character or half a surrogate pair is invalid: a store could not keep it unchanged", () => {
    for (const schema of [Ids.ConversationId, Ids.TaskId, Ids.UserId, Ids.AgentId, Ids.RunnerId, Ids.MessageId]) {
      const accepts = Schema.is(schema)
      for (const id of ["\u0000", "a\nb", "\u001F", "\u007F", "\u0085", "\uD800", "a\uDC00", "\uDC00\uD800"]) {
        assert.isFalse(accepts(id), JSON.stringify(id))
      }
      for (const id of ["a b", "é", "🌲", "../..", "\uFFFD", "\u00A0", "%00"]) assert.isTrue(accepts(id), id)
    }
    const [issue] = Result.getFailure(Schema.decodeResult(Ids.ConversationId)("\uD800")).pipe(Option.toArray)
    assert.strictEqual(issue?.message, "Expected text without control characters and halves of surrogate pairs")
  })

  it("the id of the user's message ends with 1, the seq of `ack`", () => {
    assert.strictEqual<string>(Ids.messageId(Ids.TaskId.make("t1"), 1), "t1/1")
  })
})
