import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

/** Servers one after the other on one database file, and what their tools have written down. */
const worker = Effect.gen(function*() {
  const path = yield* directory
  const file = join(path, "runs")
  const env = { FILE: join(path, "test.db"), RUNS: file }
  const module = "test/support/worker.ts"
  const start = Server.start({ module, env })
  return {
    first: yield* start,
    restart: start,
    runs: Effect.sync((): ReadonlyArray<string> =>
      existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []
    )
  }
})

const count = (lines: ReadonlyArray<string>, line: string) => lines.filter((other) => other === line).length

const of = (log: ReadonlyArray<Sse.Seen>, type: string) => log.filter(({ data }) => data.type === type)

const eventsOf = (server: { readonly address: string }, id: string) => `${server.address}/tasks/${id}/events`

/** Reads a task's events after a cursor until it has seen this, and returns them. */
const seenUntil = (url: string, after: number, found: (seen: Sse.Seen) => boolean) =>
  Effect.scoped(Effect.flatMap(Sse.connect(url, { after }), (reader) => Sse.readUntil(reader, found)))

const kills = 20
const steps = 50

describe("an agent with tools, killed with -9", () => {
  it.live(
    `P8, P10: a task of ${steps} steps, killed ${kills} times: an unsafe call runs at most once, a finished one exactly once`,
    () =>
      Effect.gen(function*() {
        const { first, restart, runs } = yield* worker
        const id = yield* Rest.start(first.address, { message: `steps ${steps}` })
        let server = first
        let after = 0
        for (let kill = 0; kill < kills; kill++) {
          // Six events hold at least one that finishes something: the task never looks as if it killed its owners.
          let left = yield* Random.nextIntBetween(6, 16)
          const seen = yield* seenUntil(eventsOf(server, id), after, () => --left === 0)
          after = seen.at(-1)?.id ?? after
          yield* server.kill
          server = yield* restart
        }
        const log = (yield* Sse.read(eventsOf(server, id))).events
        Sse.assertExact(log)
        assert.strictEqual(log.at(-1)?.data.type, "done")
        assert.strictEqual(of(log, "resumed").length, kills)
        assert.strictEqual(of(log, "message").length, steps + 1)

        const lines = yield* runs
        const results = new Map(
          of(log, "tool_result").map(({ data, id }) => [String(data["toolCallId"]), { data, id }])
        )
        assert.strictEqual(of(log, "tool_result").length, 2 * steps)
        for (let n = 1; n <= steps; n++) {
          const once = results.get(`once-${n}`)?.data
          assert.isAtMost(count(lines, `begin once-${n}`), 1)
          if (once?.["status"] === "completed") assert.strictEqual(count(lines, `end once-${n}`), 1)
          else assert.strictEqual(once?.["status"], "interrupted")

          const again = results.get(`again-${n}`)
          const calls = of(log, "tool_call").filter(({ data }) => data["toolCallId"] === `again-${n}`)
          assert.strictEqual(again?.data["status"], "completed")
          assert.isAtMost(count(lines, `begin again-${n}`), calls.length)
          for (const call of calls) assert.isBelow(call.id, again?.id ?? 0)
        }
      }).pipe(Effect.scoped, Random.withSeed("kill -9"), Effect.provide(NodeServices.layer)),
    300_000
  )

  it.live("P10, SCENARIO 20, 21: an unsafe call that was cut gets an `interrupted` result, and does not run again", () =>
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
      // The history is one that the next turn can begin with.
      const next = yield* Rest.start(second.address, { message: "steps 1", conversationId: "c1" })
      assert.strictEqual((yield* Sse.read(eventsOf(second, next))).events.at(-1)?.data.type, "done")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8: a call that waits for approval waits on after a restart, and runs with the arguments a person gave", () =>
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
