import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { isInstalled, ownServer } from "../../packages/backends/test/support/postgresServer.ts"
import { refused } from "../evergreen/server.ts"
import { FakeAnthropic, type Reply } from "../support/fakeAnthropic.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const answer: Reply = { steps: [{ text: ["All ", "is ", "well."] }] }
const begins: Reply = { steps: [{ text: ["All ", "was "] }, { hang: true }] }

/** Two servers on one empty database, with one fake API behind both. */
const serversOn = Effect.fnUntraced(function*(database: string) {
  const fake = yield* FakeAnthropic
  const env = {
    PERENNIAL_STORE: database,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: fake.url,
    PERENNIAL_MODEL: "claude-test"
  }
  // Both bring the empty database up to date.
  const [a, b] = yield* Effect.all([Server.start({ env }), Server.start({ env })], { concurrency: 2 })
  return { a, b, fake }
})

const servers = (server: Redacted.Redacted) => Effect.flatMap(makeDatabase(server), ({ url }) => serversOn(url))

/** A task that runs on A and streams text, with a reader of it on B that has seen that. */
const streaming = Effect.fnUntraced(function*({ a, b, fake }: Effect.Success<ReturnType<typeof servers>>) {
  yield* fake.push(begins)
  const id = yield* Rest.start(a.address, { message: "How is it?", conversationId: "c1" })
  const request = yield* fake.nextRequest
  const reader = yield* Sse.connect(`${b.address}/tasks/${id}/events`)
  const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
  return { id, reader, request, seen }
})

const assertNextTurn = Effect.fnUntraced(function*(address: string, fake: FakeAnthropic["Service"]) {
  yield* fake.push(answer)
  const next = yield* Rest.start(address, { message: "And now?", conversationId: "c1" })
  const { events } = yield* Sse.read(`${address}/tasks/${next}/events`)
  assert.strictEqual(events.at(-1)?.data.type, "done")
})

withPostgres("two servers on one PostgreSQL", (server) => {
  it.live("P3, P7, SCENARIO 17: a task on A is watched live on B and cancelled from B, which aborts its request", () =>
    Effect.gen(function*() {
      const both = yield* servers(server)
      const { id, reader, request, seen } = yield* streaming(both)
      const cancelled = yield* Rest.post(`${both.b.address}/tasks/${id}/cancel`)
      assert.deepStrictEqual([cancelled.status, cancelled.body.status], [200, "cancelled"])
      assert.strictEqual(yield* request.end, "aborted")
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "cancelled")
      assert.deepStrictEqual((yield* Sse.read(`${both.a.address}/tasks/${id}/events`)).events, watched)
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P8, SCENARIO 25: A is killed, and B resumes its task within lease + 2 s, while a reader on B watches on", () =>
    Effect.gen(function*() {
      const both = yield* servers(server)
      const { id, reader, seen } = yield* streaming(both)
      yield* both.fake.push(answer)
      yield* both.a.kill
      const resumed = yield* Sse.readUntil(reader, ({ data }) => data.type === "resumed").pipe(
        Effect.timeout("11 seconds")
      )
      const watched = [...seen, ...resumed, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      assert.deepInclude((yield* Rest.get(`${both.b.address}/tasks/${id}`)).body, { status: "completed", attempt: 2 })
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7, SCENARIO 18: a cancel from B of a task whose owner was killed ends it and frees the conversation", () =>
    Effect.gen(function*() {
      const both = yield* servers(server)
      const { id, reader, seen } = yield* streaming(both)
      yield* both.a.kill
      const { status } = yield* Rest.post(`${both.b.address}/tasks/${id}/cancel`)
      assert.include([200, 202], status)
      const watched = [...seen, ...(yield* Sse.readAll(reader)).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "cancelled")
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P8, SCENARIO 26: A is terminated, and hands its task to B before a lease could run out", () =>
    Effect.gen(function*() {
      const both = yield* servers(server)
      const { reader, request, seen } = yield* streaming(both)
      yield* both.fake.push(answer)
      assert.strictEqual(yield* both.a.terminate, 0)
      assert.strictEqual(yield* request.end, "aborted")
      const watched = [...seen, ...(yield* Effect.timeout(Sse.readAll(reader), "6 seconds")).events]
      Sse.assertExact(watched)
      assert.strictEqual(watched.at(-1)?.data.type, "done")
      yield* assertNextTurn(both.b.address, both.fake)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P2, SCENARIO 30: of 60 concurrent starts of one conversation on both servers one is accepted", () =>
    Effect.gen(function*() {
      const { a, b, fake } = yield* servers(server)
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

  it.live.skipIf(!isInstalled)(
    "P3, P5, SCENARIO 11: PostgreSQL restarts under a streaming task, which goes on; readers on both servers see all",
    () =>
      Effect.gen(function*() {
        const database = yield* ownServer
        const { a, b, fake } = yield* serversOn(Redacted.value(database.url))
        const words = Array.from({ length: 150 }, (_, i) => `word${i} `)
        for (const mode of ["fast", "immediate"] as const) {
          yield* fake.push({ steps: [{ drip: 20 }, { text: words }] })
          const id = yield* Rest.start(a.address, { message: "Talk.", conversationId: mode })
          const readers = yield* Effect.forEach([a, b], ({ address }) => Sse.connect(`${address}/tasks/${id}/events`))
          const seen = yield* Effect.forEach(readers, (reader) => Sse.readUntil(reader, ({ id }) => id === 20))
          yield* database.stop(mode)
          yield* database.start
          for (const [i, reader] of readers.entries()) {
            const { end, events } = yield* Sse.readAll(reader)
            const watched = [...seen[i] ?? [], ...events]
            Sse.assertExact(watched)
            assert.deepStrictEqual([end, watched.at(-1)?.data.type], ["end", "done"])
            const text = watched.flatMap(({ data }) => data.type === "text" ? [data["content"]] : [])
            assert.strictEqual(text.join(""), words.join(""))
          }
          assert.deepInclude((yield* Rest.get(`${b.address}/tasks/${id}`)).body, { status: "completed", attempt: 1 })
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live("a database that is not there is refused in one line", () =>
    Effect.gen(function*() {
      const { code, lines } = yield* refused({ PERENNIAL_STORE: "postgres://eve:secret@127.0.0.1:1/perennial" })
      assert.deepStrictEqual([code, lines], [
        ChildProcessSpawner.ExitCode(1),
        ["The database of PERENNIAL_STORE cannot be opened: connect ECONNREFUSED 127.0.0.1:1"]
      ])
    }).pipe(Effect.provide(NodeServices.layer)))
})
