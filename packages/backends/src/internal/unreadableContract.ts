/**
 * The contract of texts that a store cannot read: a damaged row, or one that a newer version wrote. A task stays a task that
 * can be claimed, ended, cancelled and deleted (P8), and what is around the text stays readable (P3).
 */
import { assert, it } from "@effect/vitest"
import * as EventPayload from "@perennial/domain/EventPayload"
import type { TaskId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Option, type Scope } from "effect"
import {
  alice,
  begin,
  claim,
  claimIdOf,
  conversation,
  die,
  end,
  failure,
  live,
  log,
  newTask,
  reject,
  runnerA,
  runnerB,
  stored,
  taskId,
  text,
  wholeSpec
} from "./contractTask.ts"

/** A text that a store keeps. */
export type Part =
  | { readonly part: "input" | "spec" | "summary"; readonly taskId: TaskId }
  | { readonly part: "event"; readonly taskId: TaskId; readonly seq: number }
  | { readonly part: "intent"; readonly taskId: TaskId; readonly key: string }

/** An empty store whose texts can be replaced. */
export interface Spoilable {
  readonly backend: TaskBackend["Service"]
  readonly spoil: (part: Part, text: string) => Effect.Effect<void>
}

const id = taskId("t1")

/** Texts that are no message, no spec and no event. */
const texts = ["", "{", "null", "[]", "7", `{"role":"assistant","metadata":7,"type":"text"}`]

type Body<E> = (spoil: Spoilable["spoil"], backend: Spoilable["backend"]) => Effect.Effect<void, E, TaskBackend>

export const define = <E>(spoilable: Effect.Effect<Spoilable, E, Scope.Scope>): void => {
  const test = <E2>(name: string, body: Body<E2>) =>
    it.live(
      name,
      () =>
        Effect.flatMap(spoilable, ({ backend, spoil }) =>
          Effect.provideService(body(spoil, backend), TaskBackend, backend))
    )

  for (const part of ["input", "spec"] as const) {
    test(
      `P8: a task whose ${part} cannot be read is shown, claimed, ended and deleted`,
      (spoil, backend) =>
        Effect.gen(function*() {
          for (const text of texts) {
            yield* backend.create(newTask("t1", { spec: wholeSpec }), reject)
            yield* spoil({ part, taskId: id }, text)
            yield* live(runnerA)
            const heads = yield* backend.unowned({ limit: 10 })
            assert.deepStrictEqual(heads.map((head) => [head.taskId, head.token]), [[id, 0]])
            const first = yield* claim("t1")
            assert.deepInclude(first, { taskId: id, token: 1, attempt: 1, userId: alice, unreadable: part })
            if (part === "input") assert.deepStrictEqual(first.input, MessagePayload.unreadableInput)
            else assert.deepStrictEqual(first.spec, {})
            // Another process gets it in the same way, and so does an owner whose reply was lost.
            yield* backend.release(first)
            yield* live(runnerB)
            const claiming = { runnerId: runnerB, claimId: claimIdOf(runnerB, 1), expectedToken: 1 }
            for (const owner of [yield* backend.claim(id, claiming), yield* backend.claim(id, claiming)]) {
              assert.deepInclude(Option.getOrThrow(owner), { token: 2, attempt: 2, unreadable: part })
            }
            assert.strictEqual((yield* backend.get(id, { userId: alice })).status, "running")
            assert.strictEqual((yield* backend.list({ userId: alice, limit: 10 })).length, 1)
            const cancel = yield* backend.putIntent(id, { key: cancelKey, value: {} })
            assert.deepStrictEqual([cancel.written, cancel.task.id], [true, id])
            yield* backend.finish({ taskId: id, token: 2 }, stored(2, failure("t1")))
            assert.strictEqual((yield* backend.get(id)).status, "error")
            assert.strictEqual((yield* backend.ended({ after: 0, limit: 10 })).at(-1)?.event?.event.type, "error")
            yield* backend.deleteConversation({ conversationId: conversation, userId: alice })
            assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [])
          }
        })
    )

    test(`P7: a waiting task whose ${part} cannot be read is cancelled`, (spoil, backend) =>
      Effect.gen(function*() {
        yield* backend.create(newTask("t1"), reject)
        yield* spoil({ part, taskId: id }, "{")
        const { task, written } = yield* backend.putIntent(id, { key: cancelKey, value: {} }, { userId: alice })
        assert.deepStrictEqual([written, task.status], [true, "cancelled"])
      }))
  }

  test("a task whose summary cannot be read is shown without it", (spoil, backend) =>
    Effect.gen(function*() {
      yield* begin("t1")
      for (const text of texts) {
        yield* spoil({ part: "summary", taskId: id }, text)
        const shown = yield* backend.get(id)
        assert.notProperty(shown, "waiting")
        assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [shown])
      }
    }))

  test("a task whose message a newer version wrote keeps the message", (spoil, backend) =>
    Effect.gen(function*() {
      const parts = [{ type: "audio", data: "x", rate: { hz: 8000 } }, { type: "text", text: "hello" }]
      yield* backend.create(newTask("t1"), reject)
      yield* spoil({ part: "input", taskId: id }, JSON.stringify({ role: "user", content: parts }))
      const claimed = yield* claim("t1")
      assert.deepStrictEqual<unknown>(claimed.input.content, [{ type: "unknown", raw: parts[0] }, parts[1]])
      assert.isUndefined(claimed.unreadable)
    }))

  test(
    "P3: an event that cannot be read keeps its place, and the events around it are read",
    (spoil, backend) =>
      Effect.gen(function*() {
        const owner = yield* begin("t1")
        yield* backend.append([{ claim: owner, events: stored(2, text("t1", "a"), text("t1", "b"), text("t1", "c")) }])
        for (const spoilt of texts) {
          yield* spoil({ part: "event", taskId: id, seq: 3 }, spoilt)
          const events = yield* log("t1")
          assert.deepStrictEqual(events.map(({ seq }) => seq), [1, 2, 3, 4])
          assert.deepStrictEqual(
            events.map(({ event }) => EventPayload.isUnreadable(event) ? "unreadable" : event.type),
            ["ack", "text", "unreadable", "text"]
          )
          const page = yield* backend.events(id, { after: 2, limit: 1, maxBytes: 1 })
          assert.deepStrictEqual([page.events.length, page.lastSeq], [1, 4])
        }
      })
  )

  test("P4: an end that cannot be read stays an end", (spoil, backend) =>
    Effect.gen(function*() {
      yield* end(yield* begin("t1"))
      yield* spoil({ part: "event", taskId: id, seq: 2 }, "{")
      assert.isTrue((yield* backend.events(id, { after: 2, limit: 1, maxBytes: 1 })).ended)
      const [one] = yield* backend.ended({ after: 0, limit: 10 })
      assert.strictEqual(one?.task.status, "completed")
      assert.isTrue(one?.event !== undefined && EventPayload.isUnreadable(one.event.event))
    }))

  test(
    "P7: a recorded intent that cannot be read stays recorded: a cancel is a cancel",
    (spoil, backend) =>
      Effect.gen(function*() {
        yield* begin("t1")
        yield* backend.putIntent(id, { key: "decision/call", value: { approved: true } })
        yield* backend.putIntent(id, { key: cancelKey, value: { reason: "enough" } })
        for (const key of ["decision/call", cancelKey]) yield* spoil({ part: "intent", taskId: id, key }, "{")
        const intents = yield* backend.intents(id)
        assert.deepStrictEqual(intents, [{ key: "decision/call", value: null }, { key: cancelKey, value: null }])
        const again = yield* backend.putIntent(id, { key: cancelKey, value: {} })
        assert.deepStrictEqual([again.written, Option.getOrUndefined(again.value)], [false, null])
        yield* die(runnerA)
        assert.strictEqual((yield* backend.unowned({ limit: 10, agentIds: [] })).length, 1)
      })
  )
}
