/**
 * The contract of concurrent operations: a store may do several in one step, and each has an answer of its own.
 */
import { assert } from "@effect/vitest"
import type { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Effect, Option } from "effect"
import {
  alice,
  begin,
  bob,
  cancelled,
  conversationId,
  done,
  enqueue,
  failure,
  headId,
  live,
  log,
  newTask,
  reject,
  runnerA,
  runnerB,
  stored,
  taskId,
  type Test,
  text,
  tryClaim
} from "./contractTask.ts"

export const define = (test: Test): void => {
  test(
    "P2, P12: of many starts at once each has its own answer",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const used = { key: "used", requestHash: "h" }
      const fresh = { key: "fresh", requestHash: "h" }
      const c = (id: string) => ({ conversationId: conversationId(id) })
      yield* backend.create(newTask("before", { ...c("busy"), idempotency: used }), reject)
      yield* backend.create(newTask("bobs", { ...c("bobs"), userId: bob }), reject)
      const tasks = [
        ...Array.range(1, 20).map((n) => newTask(`new ${n}`, c(`new ${n}`))),
        newTask("refused", c("busy")),
        newTask("repeated", { ...c("elsewhere"), idempotency: used }),
        newTask("conflicting", { ...c("elsewhere"), idempotency: { ...used, requestHash: "other" } }),
        newTask("foreign", c("bobs")),
        newTask("before", c("busy")),
        ...Array.range(1, 2).map((n) => newTask(`twin ${n}`, c("twins"))),
        ...Array.range(1, 2).map((n) => newTask(`same ${n}`, { ...c(`same ${n}`), idempotency: fresh }))
      ]
      const answers = yield* Effect.forEach(
        tasks,
        (task) =>
          Effect.map(Effect.result(backend.create(task, reject)), (result) => {
            if (result._tag === "Failure") return result.failure._tag
            const { created, task: { id } } = result.success
            return created ? "created" : id
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.slice(0, 25), [
        ...Array.makeBy(20, () => "created"),
        "ConversationBusy",
        "before",
        "IdempotencyConflict",
        "ConversationNotFound",
        "before"
      ])
      assert.sameMembers(answers.slice(25, 27), ["created", "ConversationBusy"])
      const same = answers.slice(27)
      assert.isTrue(same.includes("created") && same.some((answer) => answer.startsWith("same")))
      const heads = yield* backend.unowned({ limit: 100 })
      assert.strictEqual(new Set(heads.map((head) => head.conversationId)).size, heads.length)
      assert.strictEqual(heads.length, 24)
    })
  )

  test(
    "of many heads that two runners claim at once each has one owner, who has its message",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = Array.range(1, 20).map((n) => `t${n}`)
      for (const id of ids) yield* backend.create(newTask(id, { conversationId: conversationId(id) }), reject)
      yield* Effect.forEach([runnerA, runnerB], live, { discard: true })
      const wanted = [...ids, ...ids.toReversed()].map((id, i) => ({ id, runnerId: i < 20 ? runnerA : runnerB }))
      const claims = yield* Effect.forEach(
        wanted,
        ({ id, runnerId }) =>
          Effect.map(tryClaim(id, runnerId), (claim) => {
            if (Option.isSome(claim)) {
              assert.deepInclude(claim.value, { taskId: taskId(id), runnerId, token: 1, attempt: 1, failures: 0 })
              assert.deepStrictEqual(claim.value.input, newTask(id).input)
            }
            return Option.isSome(claim) ? id : undefined
          }),
        { concurrency: "unbounded" }
      )
      assert.sameMembers(claims.filter((id) => id !== undefined), ids)
    })
  )

  test(
    "P4: of many ends at once each has its own outcome",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = Array.range(1, 20).map((n) => `t${n}`)
      const owners = yield* Effect.forEach(ids, (id) => begin(id, { conversationId: conversationId(id) }))
      yield* backend.create(newTask("behind", { conversationId: conversationId("t1") }), enqueue)
      const terminals = ids.map((id, i) => ({
        ...[done(id), cancelled(id), failure(id, `of ${id}`)][i % 3] ?? done(id),
        conversationId: conversationId(id)
      }))
      const ends = yield* Effect.forEach(
        owners,
        (owner, i) => {
          // The second one lost its task, the third one an event.
          const claim = i === 1 ? { ...owner, token: 7 } : owner
          const terminal = terminals[i] ?? done(owner.taskId)
          return Effect.result(backend.finish(claim, stored(i === 2 ? 3 : 2, terminal)))
        },
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        ends.map((end) => end._tag === "Success" ? headId(end.success) : end.failure._tag),
        ids.map((_, i) => i === 0 ? taskId("behind") : i === 1 || i === 2 ? "LeaseLost" : undefined)
      )
      for (const [i, id] of ids.entries()) {
        const events = yield* log(id)
        const task = yield* backend.get(taskId(id))
        if (i === 1 || i === 2) {
          assert.deepInclude(task, { status: "running", lastSeq: 1 })
        } else {
          assert.deepStrictEqual(events.slice(1), [...stored(2, terminals[i] ?? done(id))])
          assert.deepStrictEqual(task.error, i % 3 === 2 ? { code: "Broken", detail: `of ${id}` } : undefined)
        }
      }
    })
  )

  test(
    "P12: of many reads at once each has its own answer",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.append([{ claim: owner, events: stored(2, text("t1", "a"), text("t1", "b"), text("t1", "c")) }])
      const whose = (userId?: UserId) =>
        Effect.match(backend.get(taskId("t1"), { userId }), {
          onFailure: ({ _tag }) => _tag,
          onSuccess: ({ id }) => id
        })
      const seqs = (id: string, after: number, limit: number, maxBytes = Number.MAX_SAFE_INTEGER) =>
        Effect.match(backend.events(taskId(id), { after, limit, maxBytes }), {
          onFailure: ({ _tag }) => _tag,
          onSuccess: ({ events }) => events.map(({ seq }) => seq).join()
        })
      const answers = yield* Effect.all([
        whose(),
        whose(bob),
        whose(alice),
        seqs("t1", 0, 10),
        seqs("t1", 0, 2),
        seqs("t1", 1, 10, 1),
        seqs("none", 0, 10),
        seqs("t1", 4, 10),
        seqs("t1", 5, 10),
        seqs("t1", 2, 10)
      ], { concurrency: "unbounded" })
      const t1 = taskId("t1")
      const expected = [t1, "TaskNotFound", t1, "1,2,3,4", "1,2", "2", "TaskNotFound", "", "CursorAhead", "3,4"]
      assert.deepStrictEqual(answers, expected)
    })
  )
}
