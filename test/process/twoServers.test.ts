/**
 * Two servers on one store. One server runs tasks; the other watches them, cancels them, decides about their tool calls,
 * takes them over, and refuses concurrent starts.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic, type Reply } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer, type Scope } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { sayIsSkipped } from "../../packages/backends/test/support/redis.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import * as Ledger from "../faults/ledger.ts"
import * as Page from "../faults/page.ts"
import * as Plan from "../faults/plan.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"
import * as TwoServers from "../support/twoServers.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const answer: Reply = { actions: [{ text: ["All ", "is ", "well."] }] }
const begins: Reply = { actions: [{ text: ["All ", "was "] }, { hang: true }] }
/** This answer takes longer than a lease. */
const drips: Reply = {
  actions: [{ drip: 50 }, { text: Array.from({ length: 600 }, () => "zombie ") }, { hang: true }]
}
/** Shorter than the heartbeat of the longest lease, and long enough for a busy machine. */
const soon = "1 minute"

/** Starts a task that streams text on A, and a reader on B. Returns when the reader has got some text. */
const streamingOn = Effect.fnUntraced(function*(database: string, reply: Reply) {
  const { a, b, fake } = yield* TwoServers.start(database)
  // A must claim the task.
  yield* b.freeze
  yield* fake.push(reply)
  const id = yield* Rest.start(a.address, { message: "How is it?", conversationId: "c1" })
  const request = yield* fake.nextRequest
  yield* b.thaw
  const reader = yield* Sse.connect(`${b.address}/tasks/${id}/events`)
  const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
  return { both: { a, b, fake }, id, reader, request, seen }
})

const assertNextTurn = Effect.fnUntraced(function*(address: string, fake: FakeAnthropic["Service"]) {
  yield* fake.push(answer)
  const next = yield* Rest.start(address, { message: "And now?", conversationId: "c1" })
  const { events } = yield* Sse.read(`${address}/tasks/${next}/events`)
  assert.strictEqual(events.at(-1)?.data.type, "done")
})

/** A server whose agent calls tools, and the file that its tools write. */
const worker = Effect.fnUntraced(function*(database: string, env: Readonly<Record<string, string>> = {}) {
  const runs = join(yield* directory, "runs")
  const server = yield* Server.start({ module: "test/support/worker.ts", env: { STORE: database, RUNS: runs, ...env } })
  return { ...server, runs: Effect.sync(() => existsSync(runs) ? readFileSync(runs, "utf8") : "") }
})

/** A task that holds a tool call on A, whose lease and heartbeat are too long to help; and a reader on B. */
const heldOn = Effect.fnUntraced(function*(database: string) {
  const start = worker(database, { LEASE_MILLIS: "600000" })
  const [a, b] = yield* Effect.all([start, start], { concurrency: 2 })
  // A must claim the task.
  yield* b.freeze
  const id = yield* Rest.start(a.address, { message: "hold" })
  yield* Effect.scoped(Effect.flatMap(
    Sse.connect(`${a.address}/tasks/${id}/events`),
    (onA) => Sse.readUntil(onA, ({ data }) => data.type === "tool_progress")
  ))
  yield* b.thaw
  return { a, b, id, reader: yield* Sse.connect(`${b.address}/tasks/${id}/events`) }
})

/** Two servers with leases of six seconds, and the ledger in which they record their claims and writes. */
const planned = Effect.fnUntraced(function*(database: string) {
  const ledger = join(yield* directory, "ledger.jsonl")
  writeFileSync(ledger, "")
  const env = { STORE: database, LEDGER: ledger, LEASE_MILLIS: "6000", CAPACITY: "10", CLOCK_AHEAD: "0" }
  const start = Server.start({ module: "test/faults/server.ts", env })
  const [a, b] = yield* Effect.all([start, start], { concurrency: 2 })
  return { a, b, ledger }
})

/** The tests of one store. */
const suite = (database: Effect.Effect<string, never, Scope.Scope>) => {
  const servers = Effect.flatMap(database, TwoServers.start)
  const streaming = (reply = begins) => Effect.flatMap(database, (url) => streamingOn(url, reply))

  it.live("P3, P7, SCENARIO 17: a task on A is watched live on B; a cancel from B aborts its model request", () =>
    Effect.gen(function*() {
      const { both, id, reader, request, seen } = yield* streaming()
      assert.include([200, 202], (yield* Rest.post(`${both.b.address}/tasks/${id}/cancel`)).status)
      assert.strictEqual(yield* request.end, "aborted")
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "cancelled")
      assert.deepStrictEqual((yield* Sse.read(`${both.a.address}/tasks/${id}/events`)).events, watched)
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7: a cancel from B reaches A long before the next heartbeat of A", () =>
    Effect.gen(function*() {
      const { b, id, reader } = yield* heldOn(yield* database)
      assert.include([200, 202], (yield* Rest.post(`${b.address}/tasks/${id}/cancel`)).status)
      const { events } = yield* Effect.timeout(Sse.readAll(reader), soon)
      Sse.assertExact(events)
      assert.strictEqual(events.at(-1)?.data.type, "cancelled")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P7: a task on A waits for approval, and B gets the decision; A goes on, and readers of both get each event once", () =>
    Effect.gen(function*() {
      const url = yield* database
      const [a, b] = yield* Effect.all([worker(url), worker(url)], { concurrency: 2 })
      // A must claim the task.
      yield* b.freeze
      const id = yield* Rest.start(a.address, { message: "ask" })
      const onA = yield* Sse.connect(`${a.address}/tasks/${id}/events`)
      const asked = yield* Sse.readUntil(onA, ({ data }) => data.type === "tool_approval")
      yield* b.thaw
      const onB = yield* Sse.connect(`${b.address}/tasks/${id}/events`)
      assert.deepStrictEqual(yield* Sse.readUntil(onB, ({ data }) => data.type === "tool_approval"), asked)

      const decision = { approved: true, args: { n: 7 } }
      const decide = (address: string, answer: object) =>
        Effect.map(Rest.post(`${address}/tasks/${id}/decisions/ask`, answer), ({ status }) => status)
      assert.strictEqual(yield* decide(b.address, decision), 204)
      const watched = [...asked, ...(yield* Sse.readAll(onA)).events]
      Sse.assertExact(watched)
      assert.deepStrictEqual([...asked, ...(yield* Sse.readAll(onB)).events], watched)
      const of = (type: string) => watched.filter(({ data }) => data.type === type).map(({ data }) => data)
      assert.deepStrictEqual(of("tool_approval").map((data) => data["decision"]), [undefined, decision])
      assert.deepStrictEqual(of("tool_result").map((data) => data["result"]), ["did 7"])
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      assert.deepStrictEqual([yield* a.runs, yield* b.runs], ["ask 7\n", ""])
      assert.deepInclude((yield* Rest.get(`${b.address}/tasks/${id}`)).body, { status: "completed", attempt: 1 })
      // The first decision counts on both servers: repeating it is accepted, and a different decision is refused.
      assert.strictEqual(yield* decide(a.address, decision), 204)
      assert.strictEqual(yield* decide(a.address, { approved: false }), 409)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8, SCENARIO 25: A is killed, and B resumes its task; a reader on B gets all events", () =>
    Effect.gen(function*() {
      const { both, id, reader, seen } = yield* streaming()
      yield* both.fake.push(answer)
      yield* both.a.kill
      const resumed = yield* Sse.readUntil(reader, ({ data }) => data.type === "resumed")
      const watched = [...seen, ...resumed, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      assert.deepInclude((yield* Rest.get(`${both.b.address}/tasks/${id}`)).body, { status: "completed", attempt: 2 })
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7, SCENARIO 18: a cancel from B ends a task whose owner was killed, and frees the conversation", () =>
    Effect.gen(function*() {
      const { both, id, reader, seen } = yield* streaming()
      yield* both.a.kill
      const { status } = yield* Rest.post(`${both.b.address}/tasks/${id}/cancel`)
      assert.include([200, 202], status)
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "cancelled")
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P8, SCENARIO 26: A is terminated, and B resumes its task long before the lease of A runs out", () =>
    Effect.gen(function*() {
      const { a, b, id, reader } = yield* heldOn(yield* database)
      yield* a.terminate
      const { events } = yield* Effect.timeout(Sse.readAll(reader), soon)
      Sse.assertExact(events)
      assert.strictEqual(events.at(-1)?.data.type, "done")
      assert.deepInclude((yield* Rest.get(`${b.address}/tasks/${id}`)).body, { status: "completed", attempt: 2 })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8, SCENARIO 26: A is terminated while it streams: it aborts its model request, and B gives a whole answer", () =>
    Effect.gen(function*() {
      const { both, reader, request, seen } = yield* streaming()
      yield* both.fake.push(answer)
      assert.strictEqual(yield* both.a.terminate, 0)
      assert.strictEqual(yield* request.end, "aborted")
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P2, SCENARIO 30: of 60 concurrent starts of one conversation on both servers one is accepted", () =>
    Effect.gen(function*() {
      const { a, b, fake } = yield* servers
      yield* fake.push(begins)
      const answers = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i % 2 === 0 ? a : b),
        ({ address }) => Rest.post(`${address}/tasks`, { message: "Me first.", conversationId: "c1" }),
        { concurrency: "unbounded" }
      )
      const accepted = answers.filter(({ status }) => status === 201)
      assert.strictEqual(accepted.length, 1)
      assert.strictEqual(answers.filter(({ status }) => status === 409).length, 59)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P9, SCENARIO 27: writes of a process that was frozen for longer than its lease are refused", () =>
    Effect.gen(function*() {
      const { a, b, ledger } = yield* planned(yield* database)
      // A must claim all tasks.
      yield* b.freeze
      // Most of the tasks are not in the middle of a write when A is frozen, so that they begin a write when A continues.
      const ids = yield* Effect.forEach(["z1", "z2", "z3", "z4", "z5"], (name) => {
        const plan: Plan.Plan = { name, words: 40, drip: 200, steps: [] }
        return Rest.start(a.address, { message: Plan.encode(plan) }, Page.ofProgram)
      })
      yield* Ledger.until(ledger, (entries) => {
        const claimed = new Set(Ledger.ofType(entries, "claimed").map(({ taskId }) => taskId))
        return claimed.size === ids.length
      })
      yield* b.thaw
      const streams = yield* Effect.forEach(ids, (id) =>
        Effect.gen(function*() {
          const reader = yield* Sse.connect(`${b.address}/tasks/${id}/events`, { token: Page.token })
          return { reader, seen: yield* Sse.readUntil(reader, ({ data }) => data.type === "text") }
        }))
      yield* a.freeze
      const wordsOf = ({ data }: Sse.Seen) => data.type === "text" ? Plan.toWords(String(data["content"])) : []
      const resumed = yield* Effect.forEach(
        streams,
        ({ reader }) => Sse.readUntil(reader, (seen) => wordsOf(seen).some((word) => word?.pid === b.pid))
      )
      yield* a.thaw
      const isRefused = ({ pid, type }: Ledger.Entry) => pid === a.pid && type === "refused"
      yield* Ledger.until(ledger, (entries) => entries.some(isRefused))
      for (const [i, { reader, seen }] of streams.entries()) {
        const watched = [...seen, ...resumed[i] ?? [], ...(yield* Sse.readAll(reader)).events]
        Sse.assertExact(watched)
        assert.deepStrictEqual([...new Set(watched.flatMap(wordsOf).map((word) => word?.pid))], [a.pid, b.pid])
      }
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P9, SCENARIO 27: A is frozen for longer than its lease while it streams: all readers get one history", () =>
    Effect.gen(function*() {
      const { both, id, reader, request, seen } = yield* streaming(drips)
      yield* both.fake.push(answer)
      yield* both.a.freeze
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      yield* both.a.thaw
      // A is no longer the owner of the task, and aborts its model request.
      assert.strictEqual(yield* request.end, "aborted")
      assert.deepStrictEqual((yield* Sse.read(`${both.a.address}/tasks/${id}/events`)).events, watched)
      const resumed = watched.findIndex(({ data }) => data.type === "resumed")
      assert.isAbove(resumed, 0)
      assert.isFalse(watched.slice(resumed).some(({ data }) => data["content"] === "zombie "))
      assert.deepInclude((yield* Rest.get(`${both.a.address}/tasks/${id}`)).body, { status: "completed", attempt: 2 })
      yield* assertNextTurn(both.a.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))
}

withPostgres("two servers on one PostgreSQL", (server) => suite(Effect.map(makeDatabase(server), ({ url }) => url)))

if (!RedisServer.isInstalled) sayIsSkipped("two servers on one Redis")
describe.skipIf(!RedisServer.isInstalled)("two servers on one Redis", () => {
  suite(Effect.map(RedisServer.ownServer, ({ url }) => url))
})
