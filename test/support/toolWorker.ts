/**
 * Servers of `worker.ts` on a database file, and a test that kills many of them.
 */
import { assert } from "@effect/vitest"
import { Effect, Random } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Rest from "./rest.ts"
import * as Server from "./server.ts"
import * as Sse from "./sse.ts"
import { directory } from "./stores.ts"

/** Several servers that use one database file in turn. `runs` has the lines that the tools of all servers wrote. */
const make = Effect.gen(function*() {
  const path = yield* directory
  const file = join(path, "runs")
  const env = { FILE: join(path, "test.db"), RUNS: file }
  const module = "test/support/worker.ts"
  return {
    start: (more: Readonly<Record<string, string>> = {}) => Server.start({ module, env: { ...env, ...more } }),
    runs: Effect.sync((): ReadonlyArray<string> =>
      existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []
    )
  }
})

/** Starts the first of several servers that use one database file in turn. `restart` starts the next server. */
export const worker = Effect.gen(function*() {
  const { runs, start } = yield* make
  return { first: yield* start(), restart: start(), runs }
})

const count = (lines: ReadonlyArray<string>, line: string) => lines.filter((other) => other === line).length

/** The events of one type. */
export const of = (log: ReadonlyArray<Sse.Seen>, type: string) => log.filter(({ data }) => data.type === type)

export const eventsOf = (server: { readonly address: string }, id: string) => `${server.address}/tasks/${id}/events`

/** Reads the events after a cursor, up to the first event that satisfies the predicate. */
export const seenUntil = (url: string, after: number, found: (seen: Sse.Seen) => boolean) =>
  Effect.scoped(Effect.flatMap(Sse.connect(url, { after }), (reader) => Sse.readUntil(reader, found)))

/** A server that is killed begins so many steps: they have more events than a test reads before it kills the server. */
const stepsOfServer = 3

/** The steps of a task whose servers are killed so often, so that each server finds it unfinished. */
export const stepsOf = (kills: number): number => stepsOfServer * kills + 2

/** P8, P10: runs a task, kills its server `kills` times, and checks each tool call. */
export const survivesKills = Effect.fnUntraced(function*(kills: number) {
  const { runs, start } = yield* make
  const steps = stepsOf(kills)
  const killed = start({ STEPS: String(stepsOfServer) })
  let server = yield* killed
  const id = yield* Rest.start(server.address, { message: `steps ${steps}` })
  let after = 0
  for (let kill = 0; kill < kills; kill++) {
    // At least one of six events is a `message` or a `tool_result`. This progress resets the failures of the task.
    let left = yield* Random.nextIntBetween(6, 16)
    const seen = yield* seenUntil(eventsOf(server, id), after, () => --left === 0)
    after = seen.at(-1)?.id ?? after
    yield* server.kill
    server = yield* kill + 1 < kills ? killed : start()
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
}, Random.withSeed("kill -9"))
