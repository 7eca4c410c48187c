/**
 * Input has the same bounds in process as over HTTP (P11), also from untyped callers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { Task } from "@perennial/domain/Task"
import { type StartError, TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer } from "effect"

const asking = make("asking", (input, emit) =>
  Effect.gen(function*() {
    yield* emit([{ type: "tool_approval", tool: "pay", toolCallId: "t1", args: {} }])
    yield* input.awaitDecision("t1")
    return { usage: zero }
  }))

const env = TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([asking])))

type DecideError = Effect.Error<ReturnType<TaskManager["Service"]["decide"]>>

const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

/** Asserts that the store has no task and no conversation. */
const nothingStored = Effect.gen(function*() {
  const manager = yield* TaskManager
  const store = yield* ConversationStore
  assert.deepStrictEqual(yield* manager.list(), [])
  assert.deepStrictEqual(yield* store.list({ userId: yield* CurrentUser, limit: 10 }), [])
})

type Method = "start" | "regenerate" | "cancel" | "decide"
type Untyped = Record<Method, (...args: ReadonlyArray<unknown>) => Effect.Effect<Task | void, DecideError | StartError>>

/** The methods of the task manager without types, as JavaScript calls them. */
const untyped = Effect.map(TaskManager, (manager) => manager as Untyped)

const refusal = Effect.fnUntraced(function*(method: Method, ...args: ReadonlyArray<unknown>) {
  const error = yield* Effect.flip((yield* untyped)[method](...args))
  return error._tag === "InvalidInput" ? error : assert.fail(error.message)
})

const deep = (levels: number): unknown => {
  let value: unknown = 1
  for (let i = 0; i < levels; i++) value = [value]
  return value
}
const files = (...data: ReadonlyArray<string>) => ({
  role: "user",
  content: data.map((data) => ({ type: "file", mediaType: "image/png", data }))
})
const megabytes = (count: number) => "x".repeat(count * 1024 * 1024)

/** Each case has a name, the input, the field that is refused, and a part of the message. */
const starts: ReadonlyArray<readonly [what: string, input: unknown, field: string, says: string]> = [
  ["20 MiB of text", { message: megabytes(20) }, "message", "262144 bytes"],
  [
    "20 MiB of text in parts",
    { message: { role: "user", content: [{ type: "text", text: megabytes(20) }] } },
    "message",
    "262144 bytes"
  ],
  ["text that is too long only in UTF-8", { message: "é".repeat(200_000) }, "message", "262144 bytes"],
  ["files of 6 MiB", { message: files("AAAA".repeat(2 * 1024 * 1024)) }, "message", "5242880"],
  ["11 files", { message: files(...Array.from({ length: 11 }, () => "AAAA")) }, "message", "at most 10"],
  ["20 MiB of metadata", { message: "a", metadata: { a: megabytes(20) } }, "metadata", "at most 65536"],
  ["20 MiB of userMetadata", { message: "a", userMetadata: { a: megabytes(20) } }, "userMetadata", "at most 65536"],
  ["metadata that is nested 12,000 deep", { message: "a", metadata: { a: deep(12_000) } }, "metadata", "64 levels"],
  ["20 MiB of logContext", { message: "a", logContext: { a: megabytes(20) } }, "logContext", "at most 4096"],
  ["a key of 5,000 characters", { message: "a", idempotencyKey: "k".repeat(5_000) }, "idempotencyKey", "at most 200"],
  ["an empty key", { message: "a", idempotencyKey: "" }, "idempotencyKey", "at least 1"],
  ["a key that no header can carry", { message: "a", idempotencyKey: "é" }, "idempotencyKey", "printable ASCII"],
  ["an id of 5,000 characters", { message: "a", conversationId: "c".repeat(5_000) }, "conversationId", "at most 200"],
  ["an id with U+0000", { message: "a", agentId: "a\0" }, "agentId", "control characters"],
  ["an absent input", undefined, "input", "object"],
  ["a text instead of an object", "hello", "input", "object"],
  ["an absent message", {}, "message", "missing"],
  ["a number as message", { message: 7 }, "message", "a string or a user message"],
  ["an empty message", { message: " \n" }, "message", "not empty"],
  ["a message of an assistant", { message: { role: "assistant", content: [] } }, "message", "user message"],
  ["a message without content", { message: { role: "user", content: [] } }, "message.content.0", "missing"],
  ["an unknown part", { message: { role: "user", content: [{ type: "audio", data: "x" }] } }, "message.content.0", ""],
  ["a number as id", { message: "a", conversationId: 7 }, "conversationId", "string"],
  ["an unknown policy", { message: "a", onBusy: "wait" }, "onBusy", "\"reject\""],
  ["metadata that is not an object", { message: "a", metadata: [1] }, "metadata", "object"],
  ["metadata that is not JSON", { message: "a", metadata: { at: new Set() } }, "metadata.at", "JSON"],
  ["a number in the log context", { message: "a", logContext: { tries: 3 } }, "logContext.tries", "string"],
  ["a message to replace without a conversation", { message: "a", replaces: "t/1" }, "replaces", "conversationId"]
]

describe("start (P11)", () => {
  for (const [what, input, field, says] of starts) {
    it.effect(`refuses ${what}, names the field and the bound, and stores nothing`, () =>
      Effect.gen(function*() {
        const error = yield* refusal("start", input)
        assert.strictEqual(error.field, field)
        assert.include(error.message, `\`${field}\``)
        assert.include(error.message, says)
        assert.isBelow(error.message.length, 300)
        yield* nothingStored
      }).pipe(Effect.provide(env)))
  }

  it.effect("treats undefined like an absent field, and ignores unknown fields", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const everything = { message: "a", conversationId: undefined, metadata: undefined, unknown: 1 }
      const task = yield* manager.start(everything)
      assert.strictEqual(task.agentId, "asking")
      assert.notProperty(task, "metadata")
    }).pipe(Effect.provide(env)))

  it.effect("accepts plain strings as ids", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* manager.start({ message: "a", agentId: "asking", conversationId: "c1" })
      assert.strictEqual(task.agentId, "asking")
      assert.strictEqual(task.conversationId, "c1")
    }).pipe(Effect.provide(env)))
})

describe("an idempotency key", () => {
  it.effect("belongs to one request, in any order of its fields", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const first = yield* manager.start({
        message: { role: "user", content: [{ type: "text", text: "a" }] },
        conversationId: "c1",
        metadata: { a: 1, b: { c: 2, d: 3 } },
        idempotencyKey: "k"
      })
      const again = yield* manager.start({
        idempotencyKey: "k",
        metadata: { b: { d: 3, c: 2 }, a: 1 },
        conversationId: "c1",
        message: { content: [{ text: "a", type: "text" }], role: "user" }
      })
      assert.strictEqual(again.id, first.id)
    }).pipe(Effect.provide(env)))

  it.effect("conflicts with a request that differs in a field other than the key and the log context", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "a", conversationId: "c1", idempotencyKey: "k" })
      const same = yield* manager.start({
        message: "a",
        conversationId: "c1",
        idempotencyKey: "k",
        logContext: { request: "2" }
      })
      assert.strictEqual(same.id, id)
      const others = [
        { message: "b" },
        { conversationId: "c2" },
        { agentId: "asking" },
        { onBusy: "enqueue" },
        { userMetadata: {} },
        { metadata: {} },
        { replaces: `${id}/1` }
      ] as const
      for (const other of others) {
        const conflict = manager.start({ message: "a", conversationId: "c1", idempotencyKey: "k", ...other })
        assert.strictEqual((yield* Effect.flip(conflict))._tag, "IdempotencyConflict")
      }
    }).pipe(Effect.provide(env)))
})

describe("regenerate, cancel and decide (P11)", () => {
  it.effect("regenerate refuses the same input as start", () =>
    Effect.gen(function*() {
      const metadata = yield* refusal("regenerate", "c1", { metadata: { a: megabytes(1) } })
      assert.include(metadata.message, "at most 65536")
      assert.strictEqual(
        (yield* refusal("regenerate", "c1", { idempotencyKey: "k".repeat(5_000) })).field,
        "idempotencyKey"
      )
      assert.strictEqual((yield* refusal("regenerate", "c1", { agentId: 7 })).field, "agentId")
      assert.strictEqual((yield* refusal("regenerate", "c1", "now")).field, "options")
      assert.strictEqual((yield* refusal("regenerate", 7)).field, "conversationId")
      yield* nothingStored
    }).pipe(Effect.provide(env)))

  it.effect("cancel refuses a reason that is too long or not a text, and the task goes on", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "a" })
      yield* settle
      assert.include((yield* refusal("cancel", id, { reason: "r".repeat(1_001) })).message, "at most 1000")
      assert.strictEqual((yield* refusal("cancel", id, { reason: 7 })).field, "reason")
      assert.strictEqual((yield* manager.get(id)).status, "running")
    }).pipe(Effect.provide(env)))

  it.effect("decide refuses an invalid decision, and the call continues to wait", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "a" })
      yield* settle
      assert.strictEqual((yield* refusal("decide", id, "t1", undefined)).field, "decision")
      assert.strictEqual((yield* refusal("decide", id, "t1", { approved: "yes" })).field, "approved")
      assert.strictEqual((yield* refusal("decide", id, "t1", { approved: true, reason: 7 })).field, "reason")
      assert.include(
        (yield* refusal("decide", id, "t1", { approved: true, reason: "r".repeat(1_001) })).message,
        "at most 1000"
      )
      assert.include(
        (yield* refusal("decide", id, "t1", { approved: true, args: megabytes(1) })).message,
        "at most 65536"
      )
      assert.include((yield* refusal("decide", id, "t1", { approved: true, args: deep(12_000) })).message, "64 levels")
      assert.include((yield* refusal("decide", id, "t1", { approved: true, args: new Set() })).message, "JSON")
      yield* manager.decide(id, "t1", { approved: true })
      assert.strictEqual((yield* manager.await(id)).task.status, "completed")
    }).pipe(Effect.provide(env)))
})
