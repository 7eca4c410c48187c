import { assert, describe, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { directory } from "./sqliteFile.ts"

const file = Effect.map(directory, (directory) => join(directory, "deep", "er", "test.db"))
const memory = SqliteClient.layer({ filename: ":memory:" })

const count = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly count: number }>`SELECT count(*) AS count FROM trees`
  return row?.count
})

const plant = (name: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO trees VALUES (${name})`)

const table = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE trees (name TEXT UNIQUE)`)

describe("SqliteClient", () => {
  it.effect("creates the file and its directory, and opens the same file later", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const layer = SqliteClient.layer({ filename })
      yield* Effect.provide(Effect.andThen(table, plant("oak")), layer)
      assert.isTrue(existsSync(filename))
      assert.strictEqual(yield* Effect.provide(count, layer), 1)
    }).pipe(Effect.scoped))

  it.effect("P12: only the user of the process can read new files and directories; existing ones keep their permissions", () =>
    Effect.gen(function*() {
      const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
      const filename = yield* file
      yield* Layer.build(SqliteClient.layer({ filename })).pipe(
        Effect.flatMap((client) => Effect.provide(table, client))
      )
      const inside = dirname(filename)
      const made = readdirSync(inside)
      assert.includeMembers(made, ["test.db", "test.db-owner", "test.db-shm", "test.db-wal"])
      assert.deepStrictEqual(made.filter((name) => mode(join(inside, name)) !== "600"), [])
      assert.deepStrictEqual([inside, dirname(inside)].map(mode), ["700", "700"])
      const shared = join(yield* directory, "shared")
      mkdirSync(shared)
      writeFileSync(join(shared, "test.db"), "")
      chmodSync(shared, 0o750)
      chmodSync(join(shared, "test.db"), 0o640)
      yield* Effect.provide(table, SqliteClient.layer({ filename: join(shared, "test.db") }))
      assert.deepStrictEqual([shared, join(shared, "test.db")].map(mode), ["750", "640"])
    }).pipe(Effect.scoped))

  it.effect("rows with ids beyond the safe integers of JavaScript do not disturb later statements", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE messages (id INTEGER PRIMARY KEY)`
      yield* sql.withTransaction(sql`INSERT INTO messages VALUES (${"253040499839991808"})`)
      yield* sql.withTransaction(sql`DELETE FROM messages WHERE id < ${0}`)
      assert.deepStrictEqual(yield* sql`SELECT CAST(id AS TEXT) FROM messages`.values, [["253040499839991808"]])
    }).pipe(Effect.provide(memory)))

  it.effect("is durable: it uses a write-ahead log, and syncs the disk with every commit", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`.values, [["wal"]])
      assert.deepStrictEqual(yield* sql`PRAGMA synchronous`.values, [[2]])
    }).pipe(
      Effect.provide(Layer.unwrap(Effect.map(file, (filename) => SqliteClient.layer({ filename }))))
    ))

  it.effect("refuses a file that is in use, with a one-line message", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Layer.build(SqliteClient.layer({ filename }))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(SqliteClient.layer({ filename })))))
      assert.strictEqual(error._tag, "SqliteFileInUse")
      assert.include(error.message, filename)
      assert.notInclude(error.message, "\n")
    }).pipe(Effect.scoped))

  it.effect("P2: refuses a file that is in use under another path: symbolic links, `..` and `//` lead to one lock", () =>
    Effect.gen(function*() {
      const here = yield* directory
      const filename = join(here, "test.db")
      yield* Layer.build(SqliteClient.layer({ filename }))
      mkdirSync(join(here, "links"))
      symlinkSync(filename, join(here, "links", "file.db"))
      symlinkSync(here, join(here, "links", "directory"))
      const paths = ["links/file.db", "links/directory/test.db", "links/../test.db", "./test.db", "/test.db"]
      for (const name of paths) {
        const other = SqliteClient.layer({ filename: `${here}/${name}` })
        assert.strictEqual((yield* Effect.flip(Effect.scoped(Layer.build(other))))._tag, "SqliteFileInUse", name)
      }
    }).pipe(Effect.scoped))

  it.effect("P2: refuses names that SQLite would open past the lock, and creates no file", () =>
    Effect.gen(function*() {
      const here = yield* directory
      const filename = join(here, "test.db")
      const refusal = (filename: string) => Effect.flip(Effect.scoped(Layer.build(SqliteClient.layer({ filename }))))
      yield* Effect.scoped(Layer.build(SqliteClient.layer({ filename })))
      const made = readdirSync(here)
      for (const uri of [`file:${filename}`, `file://${filename}?mode=rwc`, `file:${here}/other.db?nolock=1`]) {
        assert.strictEqual(
          String(yield* refusal(uri)),
          `UnusableStore: "${uri}" is a URI: give the path of the file instead`
        )
      }
      assert.deepStrictEqual(readdirSync(here), made)
      linkSync(filename, join(here, "second.db"))
      for (const name of ["test.db", "second.db"]) {
        const path = join(here, name)
        assert.strictEqual(
          String(yield* refusal(path)),
          `UnusableStore: "${path}" has several names (hard links), and each name would have a lock of its own: keep one name`
        )
      }
    }).pipe(Effect.scoped))

  it.effect("a file that is not a database or that is read-only is refused with a one-line message", () =>
    Effect.gen(function*() {
      const here = yield* directory
      const refusal = (filename: string) =>
        Effect.map(Effect.flip(Effect.scoped(Layer.build(SqliteClient.layer({ filename })))), String)
      const diary = join(here, "diary")
      writeFileSync(diary, "Dear diary, ".repeat(100))
      assert.strictEqual(yield* refusal(diary), "UnusableStore: file is not a database")
      assert.match(yield* refusal(here), /^UnusableStore: EISDIR[^\n]*$/)
      // Not even root may write to this file of Linux.
      const counter = "/sys/kernel/uevent_seqnum"
      if (existsSync(counter)) assert.match(yield* refusal(counter), /^UnusableStore: E(ACCES|ROFS)[^\n]*$/)
    }).pipe(Effect.scoped))

  it.effect("a link to a file that is not there yet makes it where the link leads", () =>
    Effect.gen(function*() {
      const here = yield* directory
      symlinkSync(join(here, "test.db"), join(here, "link.db"))
      yield* Effect.provide(table, SqliteClient.layer({ filename: join(here, "link.db") }))
      assert.deepStrictEqual(readdirSync(here).toSorted(), ["link.db", "test.db", "test.db-owner"])
      for (const made of ["test.db", "test.db-owner"]) {
        assert.strictEqual(statSync(join(here, made)).mode & 0o777, 0o600)
      }
      assert.strictEqual(yield* Effect.provide(count, SqliteClient.layer({ filename: join(here, "test.db") })), 0)
    }).pipe(Effect.scoped))

  it.effect("fails if the directory cannot be created, also if its parent is missing or is a file", () =>
    Effect.gen(function*() {
      const here = yield* directory
      writeFileSync(join(here, "file"), "")
      for (const filename of ["/proc/x/y/test.db", join(here, "file", "x", "test.db")]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(SqliteClient.layer({ filename }))))
        assert.strictEqual(error._tag, "UnusableStore")
        assert.notInclude(error.message, "\n")
      }
    }).pipe(Effect.scoped))

  it.effect("opens the file after the process that used it was killed", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* Effect.provide(table, SqliteClient.layer({ filename }))
      const holder = spawn(process.execPath, [
        "--input-type=module",
        "--eval",
        `import { DatabaseSync } from "node:sqlite"
         const owner = new DatabaseSync(${JSON.stringify(`${filename}-owner`)})
         owner.exec("BEGIN EXCLUSIVE")
         process.stdout.write("held")
         setInterval(() => owner, 1000)`
      ], { stdio: ["ignore", "pipe", "inherit"] })
      yield* Effect.promise(() => once(holder.stdout, "data"))
      const error = yield* Effect.flip(Effect.provide(count, SqliteClient.layer({ filename })))
      assert.strictEqual(error._tag, "SqliteFileInUse")
      holder.kill("SIGKILL")
      yield* Effect.promise(() => once(holder, "exit"))
      assert.strictEqual(yield* Effect.provide(count, Layer.fresh(SqliteClient.layer({ filename }))), 0)
    }).pipe(Effect.scoped))

  it.effect("rolls back a transaction that fails or is interrupted", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* table
      const error = yield* Effect.flip(sql.withTransaction(Effect.andThen(plant("oak"), Effect.fail("no" as const))))
      assert.strictEqual(error, "no")
      assert.strictEqual(yield* count, 0)
      const planted = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(sql.withTransaction(
        plant("oak").pipe(Effect.andThen(Deferred.succeed(planted, undefined)), Effect.andThen(Effect.never))
      ))
      yield* Deferred.await(planted)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* count, 0)
      yield* plant("oak")
    }).pipe(Effect.provide(memory)))

  it.effect("a statement of another fiber does not become part of a transaction", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* table
      const planted = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(Effect.flip(sql.withTransaction(Effect.gen(function*() {
        yield* plant("oak")
        yield* Deferred.succeed(planted, undefined)
        yield* Deferred.await(go)
        return yield* Effect.fail("no" as const)
      }))))
      yield* Deferred.await(planted)
      const other = yield* Effect.forkChild(plant("fir"))
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(fiber)
      yield* Fiber.join(other)
      assert.deepStrictEqual(yield* sql`SELECT name FROM trees`.values, [["fir"]])
    }).pipe(Effect.provide(memory)))

  it.effect("a violated constraint has an error reason of its own", () =>
    Effect.gen(function*() {
      yield* table
      yield* plant("oak")
      assert.strictEqual((yield* Effect.flip(plant("oak"))).reason._tag, "UniqueViolation")
      const sql = yield* SqlClient.SqlClient
      assert.strictEqual((yield* Effect.flip(sql`SELECT nothing FROM nowhere`)).reason._tag, "UnknownError")
    }).pipe(Effect.provide(memory)))

  it.effect("executes more different statements than its cache of statements holds", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (let i = 0; i < 500; i++) {
        assert.deepStrictEqual(yield* sql`SELECT ${sql.literal(String(i))} AS n, ${null} AS none, ${true} AS yes`, [
          { n: i, none: null, yes: 1 }
        ])
      }
    }).pipe(Effect.provide(memory)))
})
