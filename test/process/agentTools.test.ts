import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { eventsOf, of, seenUntil, stepsOf, survivesKills, worker } from "../support/toolWorker.ts"

describe("an agent with tools, killed with -9", () => {
  const kills = 4
  const steps = stepsOf(kills)

  // test/soak has a longer version of this test.
  it.live(
    `P8, P10: a task of ${steps} steps, killed ${kills} times: unsafe calls run at most once, finished calls exactly once`,
    () => survivesKills(kills).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("P10, SCENARIO 20, 21: an interrupted unsafe call gets an `interrupted` result, and does not run again", () =>
    Effect.gen(function*() {
      const { first, restart, runs } = yield* worker
      const id = yield* Rest.start(first.address, { message: "hold", conversationId: "c1" })
      yield* seenUntil(eventsOf(first, id), 0, ({ data }) => data.type === "tool_progress")
      yield* first.kill
      const second = yield* restart
      const log = (yield* Sse.read(eventsOf(second, id))).events
      Sse.assertExact(log)
      assert.strictEqual(log.at(-1)?.data.type, "done")
      const [result, ...others] = of(log, "tool_result")
      assert.deepInclude(result?.data, { toolCallId: "hold", status: "interrupted" })
      assert.include(JSON.stringify(result?.data["result"]), "effects are unknown")
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(yield* runs, ["begin hold"])
      // The next turn works with this history.
      const next = yield* Rest.start(second.address, { message: "steps 1", conversationId: "c1" })
      assert.strictEqual((yield* Sse.read(eventsOf(second, next))).events.at(-1)?.data.type, "done")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8: a call still waits for approval after a restart, and runs with the arguments of the decision", () =>
    Effect.gen(function*() {
      const { first, restart, runs } = yield* worker
      const id = yield* Rest.start(first.address, { message: "ask" })
      yield* seenUntil(eventsOf(first, id), 0, ({ data }) => data.type === "tool_approval")
      yield* first.kill
      const second = yield* restart
      yield* seenUntil(eventsOf(second, id), 0, ({ data }) => data.type === "resumed")
      assert.deepStrictEqual(yield* runs, [])
      const decision = { approved: true, args: { n: 7 } }
      assert.strictEqual((yield* Rest.post(`${second.address}/tasks/${id}/decisions/ask`, decision)).status, 204)
      const log = (yield* Sse.read(eventsOf(second, id))).events
      Sse.assertExact(log)
      assert.deepStrictEqual(of(log, "tool_approval").map(({ data }) => data["decision"]), [undefined, decision])
      assert.deepStrictEqual(of(log, "tool_call").map(({ data }) => data["args"]), [{ n: 7 }])
      assert.deepStrictEqual(of(log, "tool_result").map(({ data }) => data["result"]), ["did 7"])
      assert.deepStrictEqual(yield* runs, ["ask 7"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
