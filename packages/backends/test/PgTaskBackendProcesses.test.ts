/**
 * Several processes on one database. The contract suite has only one backend, and cannot test this.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import { AgentId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Wake } from "@perennial/domain/Wake"
import {
  Array,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Queue,
  Scope,
  Stream
} from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { migrations } from "../src/internal/sqlMigrations.ts"
import { firstClaim } from "./support/oneTask.ts"
import { type Config, gateTo, makeSchema, sayIsSkipped, withPostgres } from "./support/postgres.ts"
import { isInstalled, ownServer } from "./support/postgresServer.ts"

type Backend = TaskBackend["Service"]

const reject = { onBusy: "reject", maxQueued: 0 } as const

const newTask = (id: string, conversation = `conversation of ${id}`): NewTask => ({
  id: TaskId.make(id),
  conversationId: ConversationId.make(conversation),
  userId: UserId.make("alice"),
  agentId: AgentId.make("agent"),
  input: userText("hello"),
  spec: {}
})

const text = ({ conversationId, id }: NewTask, seq: number, content: string): StoredEvent => ({
  seq,
  at: 1,
  event: { type: "text", taskId: id, conversationId, content }
})

/** These tests break connections on purpose: the warnings about them are not printed. */
const silent = Logger.layer([])

/** A process: a backend with its own connections. It ends with the scope. */
const start = (config: Config) =>
  Effect.map(
    Layer.build(
      Layer.fresh(PgTaskBackend.layer).pipe(
        Layer.provideMerge(PgClient.layer(config)),
        Layer.provide(Logger.layer([]))
      )
    ),
    (context) => ({ backend: Context.get(context, TaskBackend), sql: Context.get(context, SqlClient.SqlClient) })
  )

/** Accepts a task and claims it. */
const begin = Effect.fnUntraced(function*(backend: Backend, task: NewTask, runner = "runner") {
  const runnerId = RunnerId.make(runner)
  yield* backend.create(task, reject)
  yield* backend.heartbeat(runnerId, Duration.hours(1))
  return yield* Effect.fromOption(yield* backend.claim(task.id, { ...firstClaim, runnerId }))
})

/** Hints about users are the subject of other tests. */
const isAboutTasks = ({ kind }: Wake) => kind !== "user"

/** A queue of the hints about tasks that arrive from now on. The first `all` is left out. */
const listen = Effect.fnUntraced(function*(backend: Backend) {
  const wakes = yield* Queue.unbounded<Wake>()
  yield* Stream.runForEach(Stream.filter(backend.wakes, isAboutTasks), (wake) => Queue.offer(wakes, wake)).pipe(
    Effect.provide(silent),
    Effect.forkScoped
  )
  assert.deepStrictEqual(yield* Queue.take(wakes), { kind: "all" })
  return wakes
})

/** Ends the connections of one test: its `application_name` is its schema. */
const terminate = (sql: SqlClient.SqlClient, name: string | undefined, which = "%") =>
  sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = ${name ?? ""} AND query LIKE ${which} AND pid <> pg_backend_pid()`

withPostgres("PgTaskBackend in several processes", (url) => {
  describe("hints", () => {
    it.live("arrive again after the listening connection was lost; the first hint then is `all`", () =>
      Effect.gen(function*() {
        const config = yield* makeSchema(url)
        const a = yield* start(config)
        const b = yield* start(config)
        const task = newTask("t1")
        const claim = yield* begin(a.backend, task)
        const heard = yield* listen(b.backend)
        for (let seq = 2; seq < 5; seq++) {
          yield* terminate(a.sql, config.applicationName, "LISTEN%")
          assert.deepStrictEqual(yield* Queue.take(heard), { kind: "all" })
          yield* a.backend.append([{ claim, events: [text(task, seq, "x")] }])
          assert.deepStrictEqual(yield* Queue.take(heard), { kind: "log", taskId: task.id })
        }
      }).pipe(Effect.scoped))

    it.effect("come over a new connection after half an hour; the first hint then is `all`", () =>
      Effect.gen(function*() {
        const config = yield* makeSchema(url)
        const heard = yield* listen((yield* start(config)).backend)
        yield* TestClock.adjust("29 minutes")
        assert.strictEqual(yield* Queue.size(heard), 0)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Queue.take(heard), { kind: "all" })
      }).pipe(Effect.scoped))

    it.live("of many tasks at once take as many notifications as necessary", () =>
      Effect.gen(function*() {
        const config = yield* makeSchema(url)
        const a = (yield* start(config)).backend
        const b = (yield* start(config)).backend
        const tasks = Array.makeBy(100, (i) => newTask(`${"task ".repeat(20)}${i}`))
        const batch = yield* Effect.forEach(tasks, (task) =>
          Effect.map(begin(a, task), (claim) => ({ claim, events: Array.make(text(task, 2, "x")) })), {
          concurrency: 3
        })
        const heard = yield* listen(b)
        if (Array.isReadonlyArrayNonEmpty(batch)) {
          yield* a.append(batch)
        }
        const wakes = yield* Effect.forEach(tasks, () =>
          Queue.take(heard))
        assert.deepStrictEqual(wakes, tasks.map(({ id }): Wake => ({ kind: "log", taskId: id })))
      }).pipe(Effect.scoped))

    it.live("that cannot be decoded are ignored", () =>
      Effect.gen(function*() {
        const config = yield* makeSchema(url)
        const a = yield* start(config)
        const b = (yield* start(config)).backend
        const heard = yield* listen(b)
        const strange = ["", "nonsense", "{}", "[1]", `["x","log"]`, `["x","new","t1","head","t2"]`]
        for (const payload of strange) {
          yield* a.sql`SELECT pg_notify('perennial_' || 'perennial_tasks'::regclass::oid, ${payload})`
        }
        assert.deepStrictEqual(yield* Queue.take(heard), { kind: "head", taskId: TaskId.make("t2") })
      }).pipe(Effect.scoped))

    it.live("P8: a process that ends sends the hint of a released task; its open `wakes` streams do not delay its end", () =>
      Effect.gen(function*() {
        const config = yield* makeSchema(url)
        const scope = yield* Scope.make()
        const a = (yield* Scope.provide(start(config), scope)).backend
        const b = (yield* start(config)).backend
        const listening = yield* Effect.forkChild(Stream.runDrain(a.wakes))
        const heard = yield* listen(b)
        const claim = yield* begin(a, newTask("t1"))
        yield* a.release(claim)
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(listening)
        assert.deepStrictEqual(yield* Queue.take(heard), { kind: "head", taskId: claim.taskId })
      }).pipe(Effect.scoped))
  })

  it.live("P8: a lease is renewed while every connection of the pool is busy", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const { backend, sql } = yield* start({ ...config, maxConnections: 1 })
      const { taskId, token } = yield* begin(backend, newTask("t1"))
      const busy = yield* Deferred.make<void>()
      yield* Effect.forkScoped(sql.withTransaction(Effect.andThen(Deferred.succeed(busy, undefined), Effect.never)))
      yield* Deferred.await(busy)
      const { owned } = yield* backend.heartbeat(RunnerId.make("runner"), Duration.hours(1))
      assert.deepStrictEqual(owned, [{ taskId, token, intents: 0 }])
    }).pipe(Effect.scoped))

  /** A process behind a gate. All its connections go dead as soon as it sends the text. */
  const startBehindGate = Effect.fnUntraced(function*(config: Config, text: string) {
    const line = yield* gateTo(url)
    const { backend } = yield* start({ ...config, url: line.url })
    return { backend, dead: yield* line.cut(text, { all: true }) }
  })

  it.live("P8: a process that freezes in the middle of a transaction holds its locks for at most two seconds", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const owner = yield* start(config)
      const frozen = yield* startBehindGate(config, "INSERT INTO perennial_task_intents")
      const task = newTask("t1")
      const claim = yield* begin(owner.backend, task)
      yield* Effect.forkScoped(frozen.backend.putIntent(task.id, { key: "cancel", value: {} }))
      yield* frozen.dead
      // This waits for the locks of the frozen process.
      const [appended] = yield* owner.backend.append([{ claim, events: [text(task, 2, "x")] }])
      assert.deepStrictEqual(appended, { ok: true, intents: 0 })
    }).pipe(Effect.scoped))

  it.effect("an operation fails with TaskBackendError if the database has not answered after 30 seconds", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const task = newTask("t1")
      yield* begin((yield* start(config)).backend, task)
      const deaf = yield* startBehindGate({ ...config, multiplex: true }, "FROM perennial_tasks")
      const fiber = yield* Effect.forkChild(Effect.flip(deaf.backend.get(task.id)))
      yield* deaf.dead
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "TaskBackendError", operation: "get" })
    }).pipe(Effect.scoped))

  it.live("a process that starts deletes the rows of runners that have been dead for a day", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const { backend, sql } = yield* start(config)
      for (const runner of ["long dead", "dead", "alive"]) {
        yield* backend.heartbeat(RunnerId.make(runner), Duration.hours(1))
      }
      yield* sql`UPDATE perennial_runners SET expires_at = expires_at - 25 * 3600000 - 1 WHERE id = 'long dead'`
      yield* sql`UPDATE perennial_runners SET expires_at = expires_at - 23 * 3600000 WHERE id = 'dead'`
      yield* start(config)
      const rows = yield* sql`SELECT id FROM perennial_runners ORDER BY id`
      assert.deepStrictEqual(rows.map((row) => row["id"]), ["alive", "dead"])
    }).pipe(Effect.scoped))

  it.live("eight processes that start at once on an empty database run each migration once", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const processes = yield* Effect.forEach(
        Array.range(1, 8),
        (n) => Effect.map(start({ ...config, maxConnections: 1 }), (process) => ({ ...process, n })),
        { concurrency: 8 }
      )
      yield* Effect.forEach(processes, ({ backend, n }) => begin(backend, newTask(`t${n}`), `runner ${n}`))
      const [first] = processes
      const rows = yield* first.sql`SELECT migration_id FROM perennial_migrations ORDER BY 1`
      const numbers = Object.keys(migrations).map((name) => Number.parseInt(name))
      assert.deepStrictEqual(rows.map((row) => row["migration_id"]), numbers.toSorted((a, b) => a - b))
    }).pipe(Effect.scoped))

  it.live("operations inside a transaction of the application are committed or rolled back with it", () =>
    Effect.gen(function*() {
      const { backend, sql } = yield* start(yield* makeSchema(url))
      const task = newTask("t1")
      const behind = newTask("t2", task.conversationId)
      const both = Effect.andThen(
        backend.create(task, reject),
        backend.create(behind, { onBusy: "enqueue", maxQueued: 5 })
      )
      yield* Effect.exit(sql.withTransaction(Effect.andThen(both, Effect.fail("no"))))
      assert.deepStrictEqual(yield* backend.list({ userId: task.userId, limit: 10 }), [])
      yield* sql.withTransaction(both)
      const stored = yield* backend.list({ userId: task.userId, limit: 10 })
      assert.deepStrictEqual(stored.map(({ id }) => id), [behind.id, task.id])
    }).pipe(Effect.scoped))

  it.live("a newer process may add columns while an older process runs", () =>
    Effect.gen(function*() {
      const { backend, sql } = yield* start({ ...yield* makeSchema(url), maxConnections: 1 })
      /** Uses every statement that changes a queue, so that each is prepared. */
      const use = Effect.fnUntraced(function*(name: string) {
        const task = newTask(name)
        const behind = newTask(`${name} behind`, task.conversationId)
        const claim = yield* begin(backend, task)
        yield* backend.create(behind, { onBusy: "enqueue", maxQueued: 5 })
        yield* backend.putIntent(task.id, { key: "decision/x", value: 1 })
        const ended = { type: "cancelled", taskId: task.id, conversationId: task.conversationId } as const
        const promoted = yield* backend.finish(claim, [{ seq: 2, at: 1, event: ended }])
        assert.strictEqual(Option.getOrThrow(promoted).taskId, behind.id)
        assert.strictEqual((yield* backend.putIntent(behind.id, { key: "cancel", value: {} })).task.status, "cancelled")
      })
      yield* use("before")
      yield* sql`ALTER TABLE perennial_tasks ADD COLUMN newer TEXT`
      yield* use("after")
    }).pipe(Effect.scoped))

  it.live("P2, SCENARIO 30: of 100 concurrent starts of one conversation over three processes one is accepted", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const processes = yield* Effect.forEach(Array.range(1, 3), () => start(config))
      // Once with a new conversation, and once with an existing one.
      for (const turn of ["first", "later"]) {
        const exits = yield* Effect.forEach(
          Array.range(1, 100),
          (n) =>
            Effect.result(
              (processes[n % 3] ?? processes[0]).backend.create(newTask(`${turn} ${n}`, "c1"), reject)
            ),
          { concurrency: "unbounded" }
        )
        const [accepted, ...others] = exits.flatMap((exit) => exit._tag === "Success" ? [exit.success.task.id] : [])
        assert.deepStrictEqual(others, [])
        for (const exit of exits) {
          if (exit._tag === "Success") continue
          assert.strictEqual(exit.failure._tag === "ConversationBusy" && exit.failure.activeTaskId, accepted)
        }
        yield* processes[0].backend.putIntent(TaskId.make(accepted ?? ""), { key: "cancel", value: {} })
      }
    }).pipe(Effect.scoped))

  /** Each task appends `appends` times between two disturbances, `size` events each time. */
  const appends = 25
  const size = 3

  /** Eight tasks in two processes append while `disturb` runs, four times. Their logs must then be complete. */
  const disturbed = (config: Config, disturb: (sql: SqlClient.SqlClient) => Effect.Effect<unknown>) =>
    Effect.gen(function*() {
      const a = yield* start(config)
      const b = yield* start(config)
      const tasks = yield* Effect.forEach(Array.range(1, 8), (n) =>
        Effect.gen(function*() {
          const { backend } = n % 2 === 0 ? a : b
          const task = newTask(`t${n}`)
          return { backend, claim: yield* begin(backend, task, `runner ${n % 2}`), task }
        }))
      const seqs = Array.range(1, size)
      for (let round = 0; round < 4; round++) {
        const underWay = yield* Deferred.make<void>()
        const writers = yield* Effect.forkChild(
          Effect.forEach(
            tasks,
            ({ backend, claim, task }) =>
              Effect.forEach(Array.range(0, appends - 1), (i) =>
                Effect.gen(function*() {
                  const last = 1 + (round * appends + i) * size
                  const events = Array.map(Array.make(1, ...seqs.slice(1)), (n) => text(task, last + n, `${last + n}`))
                  const [result] = yield* backend.append([{ claim, events }])
                  assert.isTrue(result?.ok, `${task.id} after ${last}`)
                  if (i === 5) {
                    yield* Deferred.succeed(underWay, undefined)
                  }
                })),
            { concurrency: "unbounded" }
          )
        )
        yield* Deferred.await(underWay)
        yield* disturb(a.sql)
        yield* Fiber.join(writers)
      }
      const total = 1 + 4 * appends * size
      for (const { task } of tasks) {
        const { events, lastSeq } = yield* b.backend.events(task.id, { after: 0, limit: 1_000, maxBytes: 1_000_000 })
        assert.strictEqual(lastSeq, total)
        assert.deepStrictEqual(events.map(({ seq }) => seq), Array.range(1, total))
        const contents = events.flatMap(({ event }) => event.type === "text" ? [event.content] : [])
        assert.deepStrictEqual(contents, Array.range(2, total).map(String))
      }
    })

  it.live("P5: no event is lost or written twice when connections are killed during appends", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      yield* disturbed(config, (sql) => Effect.ignore(terminate(sql, config.applicationName)))
    }).pipe(Effect.scoped))

  if (!isInstalled) sayIsSkipped("restarts of PostgreSQL while events are appended")
  for (const mode of ["fast", "immediate"] as const) {
    it.live.skipIf(!isInstalled)(
      `P5: no event is lost or written twice when the database is restarted (${mode}) during appends`,
      () =>
        Effect.gen(function*() {
          const server = yield* ownServer
          yield* disturbed(
            { url: server.url, maxConnections: 4 },
            () => Effect.andThen(server.stop(mode), server.start)
          )
        }).pipe(Effect.scoped)
    )
  }
})
