/**
 * A `SqlClient` over `node:sqlite`: an embedded database in one file, without a dependency.
 *
 * Every commit survives power loss (WAL, `synchronous=FULL`). A file belongs to one process. The process holds an exclusive
 * transaction on the file `<file>-owner` (beside the target, if the file is a link). The operating system frees this lock
 * when the process ends, in whichever way. A second process is refused, by whichever path it opens the file. A process that
 * has the lock therefore knows that every earlier process is dead.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { Context, Effect, Layer, Schema, type Scope, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { closeSync, existsSync, mkdirSync, openSync, realpathSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { UnusableStore } from "./UnusableStore.ts"

/**
 * Another process has the database file open.
 *
 * @since 0.1.0
 * @category errors
 */
export class SqliteFileInUse extends Schema.TaggedError<SqliteFileInUse>()("SqliteFileInUse", {
  filename: Schema.String
}) {
  override get message() {
    return `The database "${this.filename}" is in use by another process. Stop that process, or use another file.`
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The path of the database file. A missing file is created with its directory, with access for the user of the process
   * only (modes 600 and 700). `:memory:` is a database that ends with the process. Refused are `file:` URIs, and files with
   * several names (hard links): SQLite would open them past the lock.
   */
  readonly filename: string
}

/** How long a statement waits for a lock of another program, such as a backup, in milliseconds. The wait blocks the process. */
const busyTimeout = 5000

/** How many prepared statements are kept. */
const statements = 200

// node:sqlite puts SQLite's code in `errcode`; the classification of effect/sql reads `errno`.
const classify = (cause: unknown, operation: string): SqlError.SqlError => {
  const message = cause instanceof Error ? cause.message : undefined
  const errno = cause instanceof Error && "errcode" in cause ? cause.errcode : undefined
  const readable = errno === undefined || !(cause instanceof Error) ? cause : Object.assign(cause, { errno })
  return new SqlError.SqlError({ reason: SqlError.classifySqliteError(readable, { message, operation }) })
}

const attempt = <A>(operation: string, body: () => A): Effect.Effect<A, SqlError.SqlError> =>
  Effect.try({ try: body, catch: (cause) => classify(cause, operation) })

const open = (filename: string, timeout: number, pragmas: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    attempt("open", () => {
      const database = new DatabaseSync(filename, { timeout })
      try {
        for (const pragma of pragmas) database.exec(pragma)
        return database
      } catch (cause) {
        database.close()
        throw cause
      }
    }),
    (database) => Effect.sync(() => database.close())
  )

/** The files contain messages of users. Only the user of the process may access files that are created here (P12). */
const modes = { directory: 0o700, file: 0o600 }

/** SQLite gives companion files the mode of the database file. */
const makeFile = (filename: string): void => closeSync(openSync(filename, "a", modes.file))

/** Creates a directory and its parents. The `recursive` of Node.js does not end in places such as `/proc`. */
const makeDirectory = (path: string): void => {
  if (existsSync(path)) return
  makeDirectory(dirname(path))
  try {
    mkdirSync(path, { mode: modes.directory })
  } catch (cause) {
    // Another process may have created the directory.
    if (!existsSync(path)) throw cause
  }
}

/** The real path of a file, so that a process that opens the file by another path finds the same lock, and its names there. */
const locate = (filename: string): { readonly path: string; readonly names: number } => {
  makeDirectory(dirname(filename))
  makeFile(filename)
  const path = realpathSync(filename)
  return { path, names: statSync(path).nlink }
}

/** A file that cannot be opened, for any other reason than a lock, cannot be opened at another try either. */
const refuse = (error: SqlError.SqlError): SqlError.SqlError | UnusableStore =>
  error.reason._tag === "LockTimeoutError" ? error : new UnusableStore({ problem: error.reason.message })

/** Takes the file for this process until the scope closes. Returns what SQLite opens. */
const own = Effect.fnUntraced(function*(
  filename: string
): Effect.fn.Return<string, SqliteFileInUse | SqlError.SqlError | UnusableStore, Scope.Scope> {
  if (filename === ":memory:") return filename
  if (filename.startsWith("file:")) {
    return yield* new UnusableStore({ problem: `"${filename}" is a URI: give the path of the file instead` })
  }
  const { names, path } = yield* attempt("open", () => locate(filename))
  if (names > 1) {
    return yield* new UnusableStore({
      problem: `"${path}" has several names (hard links), and each name would have a lock of its own: keep one name`
    })
  }
  const owner = `${path}-owner`
  yield* attempt("open", () => makeFile(owner))
  yield* open(owner, 0, ["BEGIN EXCLUSIVE"]).pipe(
    Effect.catchReason("SqlError", "LockTimeoutError", () => Effect.fail(new SqliteFileInUse({ filename })))
  )
  return path
})

// Parameters have an unknown type here. The database refuses a value that it cannot store with an error.
const bind = (value: unknown): SQLInputValue =>
  value === undefined ? null : typeof value === "boolean" ? Number(value) : value as SQLInputValue

/** The most recently used statements, prepared. */
const makePrepare = (database: DatabaseSync) => {
  const cache = new Map<string, StatementSync>()
  return (sql: string): StatementSync => {
    const statement = cache.get(sql) ?? database.prepare(sql)
    cache.delete(sql)
    cache.set(sql, statement)
    if (cache.size > statements) {
      for (const oldest of cache.keys()) {
        cache.delete(oldest)
        break
      }
    }
    return statement
  }
}

const makeConnection = (database: DatabaseSync): SqlConnection.Connection => {
  const prepare = makePrepare(database)
  const run = (
    prepare: (sql: string) => StatementSync,
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: "rows" | "values" | "raw"
  ) =>
    // The type of a row depends on the query. `Connection` has the type `any` as well.
    // oxlint-disable-next-line typescript/no-explicit-any
    Effect.withFiber<any, SqlError.SqlError>((fiber) =>
      attempt("execute", () => {
        const statement = prepare(sql)
        // The result of a statement without rows has the rowid of the last insert, which may be beyond the safe integers.
        const large = mode !== "raw" && statement.columns().length === 0
        statement.setReadBigInts(large || Context.get(fiber.context, SqlClient.SafeIntegers))
        statement.setReturnArrays(mode === "values")
        const values = params.map(bind)
        if (statement.columns().length > 0) return statement.all(...values)
        const result = statement.run(...values)
        return mode === "raw" ? result : []
      })
    )
  const once = (sql: string) => database.prepare(sql)
  return {
    execute: (sql, params, transform) =>
      transform === undefined
        ? run(prepare, sql, params, "rows")
        : Effect.map(run(prepare, sql, params, "rows"), transform),
    executeUnprepared: (sql, params, transform) =>
      transform === undefined ? run(once, sql, params, "rows") : Effect.map(run(once, sql, params, "rows"), transform),
    executeRaw: (sql, params) => run(prepare, sql, params, "raw"),
    executeValues: (sql, params) => run(prepare, sql, params, "values"),
    executeValuesUnprepared: (sql, params) => run(once, sql, params, "values"),
    executeStream: (sql, params, transform) =>
      Stream.unwrap(
        Effect.map(run(once, sql, params, "rows"), (rows) =>
          Stream.fromIterable(transform === undefined ? rows : transform(rows)))
      )
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*({ filename }: Options): Effect.fn.Return<
  SqlClient.SqlClient,
  SqliteFileInUse | SqlError.SqlError | UnusableStore,
  Scope.Scope | Reactivity.Reactivity
> {
  const database = yield* own(filename).pipe(
    Effect.flatMap((path) => open(path, busyTimeout, ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"])),
    Effect.catchTag("SqlError", (error) => Effect.fail(refuse(error)))
  )
  return yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(makeConnection(database)),
      semaphore: yield* Semaphore.make(1),
      isTransaction: () => database.isTransaction
    }),
    driver: "sqlite-node",
    compiler: Statement.makeCompilerSqlite(),
    // Takes the write lock at the start, so that no other transaction changes rows that this transaction has read.
    beginTransaction: "BEGIN IMMEDIATE",
    prepareTransactionControls: true,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<SqlClient.SqlClient, SqliteFileInUse | SqlError.SqlError | UnusableStore> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))
