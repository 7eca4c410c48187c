/**
 * A cluster of real processes on one PostgreSQL: runners are killed, told to end and frozen, while a web node accepts and shows
 * the tasks.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import * as Ledger from "../faults/ledger.ts"
import * as Page from "../faults/page.ts"
import * as Plan from "../faults/plan.ts"
import { runnerPort, runnerPorts } from "../support/engine.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

const tasks = 12
const steps = 12
const lease = 6_000

/** Each task calls a tool in each of its steps, which must not run again once it has ended. */
const planOf = (name: string): Plan.Plan => ({
  name,
  words: 2,
  drip: 100,
  steps: Array.from({ length: steps }, () => [{ tool: "pay", millis: 300 }])
})

const startProcess = (store: string, ledger: string, port: number, capacity = 100) =>
  Server.start({
    module: "test/faults/server.ts",
    env: {
      STORE: store,
      LEDGER: ledger,
      LEASE_MILLIS: String(lease),
      CAPACITY: String(capacity),
      CLOCK_AHEAD: "0",
      RUNNER_PORT: String(port)
    }
  })

const makeLedger = Effect.map(directory, (directory) => {
  const ledger = join(directory, "ledger.jsonl")
  writeFileSync(ledger, "")
  return ledger
})

/** Starts the tasks at a process, and a reader of each. */
const startTasks = Effect.fnUntraced(function*(address: string, ledger: string) {
  const ids = yield* Effect.forEach(
    Array.from({ length: tasks }, (_, i) => `task-${i}`),
    (name) => Rest.start(address, { message: Plan.encode(planOf(name)) }, Page.ofProgram),
    { concurrency: 4 }
  )
  const readers = yield* Effect.forEach(
    ids,
    (id) => Effect.forkScoped(Sse.read(`${address}/tasks/${id}/events`, { token: Page.token }))
  )
  yield* Ledger.until(ledger, (entries) => ownersOf(entries).size === tasks)
  return readers
})

/** Every reader saw a whole log, with one result of each call. */
const assertWhole = Effect.fnUntraced(function*(readers: Effect.Success<ReturnType<typeof startTasks>>) {
  for (const reader of readers) {
    const { events } = yield* Fiber.join(reader)
    Sse.assertExact(events)
    assert.strictEqual(events.at(-1)?.data.type, "done")
    const results = events.filter(({ data }) => data.type === "tool_result").map(({ data }) => data["toolCallId"])
    assert.strictEqual(new Set(results).size, steps)
    assert.strictEqual(results.length, steps)
  }
})

const startCluster = Effect.fnUntraced(function*(store: string) {
  const ledger = yield* makeLedger
  const start = (port: number, capacity?: number) => startProcess(store, ledger, port, capacity)
  const ports = [yield* runnerPort, yield* runnerPort, yield* runnerPort] as const
  // The first process makes the tables.
  const web = yield* start(0, 0)
  const [a, b, c] = yield* Effect.all([start(ports[0]), start(ports[1]), start(ports[2])], { concurrency: 3 })
  return { a, b, c, web, ledger, restart: start(ports[0]) }
})

/** The process that owns each task, according to the last claim. */
const ownersOf = (entries: ReadonlyArray<Ledger.Entry>) =>
  new Map(Ledger.ofType(entries, "claimed").map(({ pid, taskId }) => [taskId, pid]))

const finished = (entries: ReadonlyArray<Ledger.Entry>) => Ledger.ofType(entries, "finished").length

/** Waits until a process owns none of the tasks any more. */
const takenFrom = (ledger: string, pid: number) =>
  Ledger.until(ledger, (entries) => {
    const owners = ownersOf(entries)
    const ended = new Set(Ledger.ofType(entries, "finished").map(({ taskId }) => taskId))
    return [...owners].every(([taskId, owner]) => owner !== pid || ended.has(taskId))
  })

withPostgres("a cluster of three runners and a web node on one PostgreSQL", (server) => {
  it.live("P3, P8, P9, P10: runners are killed, told to end and frozen; no task is lost, and no finished step runs again", () =>
    Effect.gen(function*() {
      const { a, b, c, ledger, restart, web } = yield* startCluster((yield* makeDatabase(server)).url)
      const readers = yield* startTasks(web.address, ledger)
      const placed = new Set(ownersOf(Ledger.read(ledger)).values())
      assert.isFalse(placed.has(web.pid), "the web node executes none")

      yield* a.kill
      yield* takenFrom(ledger, a.pid)
      const again = yield* restart
      assert.strictEqual(yield* b.terminate, 0)
      yield* takenFrom(ledger, b.pid)
      yield* c.freeze
      yield* takenFrom(ledger, c.pid)
      yield* c.thaw

      yield* assertWhole(readers)
      const entries = Ledger.read(ledger)
      assert.strictEqual(finished(entries), tasks)
      // What the frozen process began before it stood still, it may end; nobody takes it.
      const left = Ledger.ofType(entries, "left").filter(({ how, pid }) => how === "completed" && pid !== c.pid)
      const entered = Ledger.ofType(entries, "entered")
      for (const { at, call, taskId } of left) {
        const repeated = entered.filter((one) => one.taskId === taskId && one.call === call && one.at > at)
        assert.deepStrictEqual(repeated, [])
      }
      assert.notStrictEqual(again.pid, a.pid)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("examples/cluster: one command starts three runners and a web node, and a runner executes what the web node accepts", () =>
    Effect.gen(function*() {
      const { url } = yield* makeDatabase(server)
      // The web node, three runners that listen for requests, and three ports between runners.
      const port = yield* runnerPorts(7)
      const handle = yield* ChildProcess.make(process.execPath, ["examples/cluster/src/main.ts"], {
        env: {
          ...Server.environment,
          PERENNIAL_STORE: url,
          PORT: String(port),
          RUNNER_PORT: String(port + 3)
        },
        // The example ends its servers.
        killSignal: "SIGTERM"
      })
      const listening = new Set<string>()
      yield* handle.all.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.takeUntil((line) => {
          const name = /^(.+): Evergreen listens on/.exec(line)?.[1]
          if (name !== undefined) listening.add(name)
          return listening.size === 4
        }),
        Stream.runDrain
      )
      assert.deepStrictEqual([...listening].toSorted(), ["runner 1", "runner 2", "runner 3", "web"])
      const address = `http://127.0.0.1:${port}`
      const id = yield* Rest.start(address, { message: "Hello" })
      const reader = yield* Sse.connect(`${address}/tasks/${id}/events`)
      yield* Sse.readUntil(reader, ({ data }) => data.type === "started")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
