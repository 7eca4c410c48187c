import { assert, describe, it } from "@effect/vitest"
import * as StoreSetting from "@perennial/backends/StoreSetting"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { Effect, Layer, Option, Redacted } from "effect"

describe("StoreSetting", () => {
  it("P12: the text of a setting has no password", () => {
    const secret = (url: string) => ({ type: "postgres", url: Redacted.make(url) }) as const
    assert.strictEqual(
      StoreSetting.format(secret("postgres://eve:hunter2@db.example/p")),
      "postgres://<hidden>@db.example/p"
    )
    assert.strictEqual(
      StoreSetting.format(secret("postgres://db.example/p?password=hunter2")),
      "postgres://db.example/p?<hidden>"
    )
    assert.strictEqual(StoreSetting.format({ type: "sqlite", path: "a.db" }), "sqlite:a.db")
  })

  it("reads what it writes, and refuses other texts", () => {
    for (const text of ["memory", "sqlite:a.db", "postgres://127.0.0.1/p", "redis://127.0.0.1:6379"]) {
      assert.deepStrictEqual(Option.map(StoreSetting.parse(text), StoreSetting.format), Option.some(text))
    }
    for (const text of ["", "sqlite:", "mysql://127.0.0.1", "postgres://", "a.db"]) {
      assert.deepStrictEqual(StoreSetting.parse(text), Option.none(), text)
    }
  })

  it("the reason is the innermost error, on one line", () => {
    const cause = new TaskBackendError({ operation: "get", cause: new Error("the disk is full") })
    assert.strictEqual(StoreSetting.reasonOf(cause), "the disk is full")
    assert.strictEqual(
      StoreSetting.reasonOf(new ConversationStoreError({ operation: "get", cause })),
      "the disk is full"
    )
  })

  it.effect("a store that cannot be opened fails with its reason", () =>
    Effect.gen(function*() {
      const error = yield* Layer.build(StoreSetting.layer({ type: "sqlite", path: "/dev/null/a.db" })).pipe(
        Effect.scoped,
        Effect.flip
      )
      assert.isNotEmpty(StoreSetting.reasonOf(error))
    }))
})
