/**
 * A file of JSON lines. Each line is one commit, and the state in memory is the result of all lines.
 *
 * Commits run one at a time. A commit decides on the state that all earlier commits have made; its line reaches the disk;
 * then the state in memory changes and the caller gets the result (P1, P5). A line that a crash has cut was never
 * acknowledged: the next start drops it. The file belongs to one process. It is rewritten without obsolete lines at every
 * start, and when its size has doubled.
 */
import { Clock, Effect, FileSystem, Path, Schema, type Scope, Semaphore, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"

export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  file: Schema.String,
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return `The journal "${this.file}" ${this.problem}.`
  }
}

/** The decision of a commit: the line to write, if any, and the result, which is computed after the change. */
export interface Decision<C, A> {
  readonly change?: C | undefined
  readonly result: () => A
}

export interface Journal<C> {
  /** Decides at a time, in milliseconds since 1970-01-01T00:00Z. A decision that fails changes nothing. */
  readonly commit: <A, E>(
    decide: (now: number) => Effect.Effect<Decision<C, A>, E>
  ) => Effect.Effect<A, E | JournalError>
}

/** The file is rewritten when it has twice the size that it had after the last rewrite, and this many bytes more. */
const slack = 1024 * 1024

/** SQLite's code for a lock that another process holds. */
const isBusy = (cause: unknown) => cause instanceof Error && "errcode" in cause && cause.errcode === 5

/** Node has no file locks. The operating system frees the lock of SQLite, however the process ends. */
const own = (file: string, path: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => new DatabaseSync(`${path}-owner`, { timeout: 0 }),
      catch: (cause) => new JournalError({ file, problem: "cannot be locked", cause })
    }),
    (lock) => Effect.sync(() => lock.close())
  ).pipe(Effect.flatMap((lock) =>
    Effect.try({
      try: () => lock.exec("BEGIN EXCLUSIVE"),
      catch: (cause) => {
        const problem = isBusy(cause) ? "is in use by another process, which has to stop first" : "cannot be locked"
        return new JournalError({ file, problem, cause })
      }
    })
  ))

/** The real path of a file, so that a process that opens the file by another path finds the same lock. */
const realPath = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* fs.makeDirectory(path.dirname(file), { recursive: true })
  return (yield* fs.exists(file))
    ? yield* fs.realPath(file)
    : path.join(yield* fs.realPath(path.dirname(file)), path.basename(file))
})

export const make = Effect.fnUntraced(function*<C>(name: string, options: {
  readonly change: Schema.Codec<C, unknown>
  /** Applies a change to the state in memory. */
  readonly apply: (change: C) => void
  /** Changes that lead from nothing to the present state. */
  readonly snapshot: () => Iterable<C>
}): Effect.fn.Return<Journal<C>, JournalError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const Line = Schema.fromJsonString(options.change)
  const encode = Schema.encodeEffect(Line)
  const decode = Schema.decodeEffect(Line)
  const lock = yield* Semaphore.make(1)
  let size = 0
  let rewriteAt = 0
  let broken = false

  const refuse = (problem: string) => (cause: unknown) => new JournalError({ file: name, problem, cause })
  const file = yield* Effect.mapError(realPath(name), refuse("cannot be made"))
  const directory = (yield* Path.Path).dirname(file)
  const sync = (path: string) => Effect.scoped(Effect.flatMap(fs.open(path), (handle) => handle.sync))

  const write = Effect.fnUntraced(function*(path: string, flag: "a" | "w", lines: Iterable<C>) {
    const handle = yield* fs.open(path, { flag })
    for (const change of lines) {
      const bytes = new TextEncoder().encode(`${yield* encode(change)}\n`)
      yield* handle.writeAll(bytes)
      size += bytes.length
    }
    yield* handle.sync
  }, Effect.scoped)

  /** A crash leaves a whole file: the old file keeps its name until the new file is on disk. */
  const rewrite = Effect.gen(function*() {
    size = 0
    yield* write(`${file}.new`, "w", options.snapshot())
    yield* fs.rename(`${file}.new`, file)
    yield* sync(directory)
    rewriteAt = size * 2 + slack
  })

  const replay = Effect.gen(function*() {
    if (!(yield* fs.exists(file))) return
    let cut: Schema.SchemaError | undefined
    yield* fs.stream(file).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) =>
        // A crash can cut only the last line.
        cut === undefined
          ? Effect.match(decode(line), { onSuccess: options.apply, onFailure: (error) => void (cut = error) })
          : Effect.fail(cut)
      )
    )
  })

  yield* own(name, file)
  yield* Effect.mapError(replay, refuse("cannot be read"))
  yield* Effect.mapError(rewrite, refuse("cannot be written"))

  const save = (change: C) =>
    Effect.andThen(write(file, "a", [change]), Effect.sync(() => options.apply(change))).pipe(
      Effect.andThen(Effect.suspend(() => size > rewriteAt ? rewrite : Effect.void)),
      // Some of a failed write may be on disk: nothing may be written after it before a start has read the file.
      Effect.tapError(() => Effect.sync(() => (broken = true))),
      Effect.mapError(refuse("cannot be written; start again when the disk is well"))
    )

  return {
    commit: (decide) =>
      lock.withPermit(Effect.uninterruptible(Effect.gen(function*() {
        if (broken) return yield* refuse("could not be written; start again when the disk is well")(undefined)
        const { change, result } = yield* decide(yield* Clock.currentTimeMillis)
        if (change !== undefined) yield* save(change)
        return result()
      })))
  }
})
