/**
 * A file of JSON lines in which each line is one commit: what memory holds is what the lines of the file say.
 *
 * One commit at a time: it decides on what all earlier ones have made, its line reaches the disk, and only then memory
 * changes and the caller learns of it (P1, P5). A line that a crash cut was never acknowledged: the next start drops it.
 * The file is for one process, and it is rewritten without what is obsolete at every start and when it has doubled.
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

/** What a commit does: nothing without a change. The result is computed when the change is visible. */
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

/** Rewritten when it is larger than twice what it was after the last time, and this much in bytes. */
const slack = 1024 * 1024

/** SQLite's code for a lock that another holds. */
const isBusy = (cause: unknown) => cause instanceof Error && "errcode" in cause && cause.errcode === 5

/** Node has no locks on files; this one of SQLite's is freed by the operating system however the process ends. */
const own = (file: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => new DatabaseSync(`${file}-owner`, { timeout: 0 }),
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

export const make = Effect.fnUntraced(function*<C>(file: string, options: {
  readonly change: Schema.Codec<C, unknown>
  /** Takes a change over into memory. */
  readonly apply: (change: C) => void
  /** Changes that lead from nothing to what memory holds. */
  readonly snapshot: () => Iterable<C>
}): Effect.fn.Return<Journal<C>, JournalError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* Path.Path).dirname(file)
  const Line = Schema.fromJsonString(options.change)
  const encode = Schema.encodeEffect(Line)
  const decode = Schema.decodeEffect(Line)
  const lock = yield* Semaphore.make(1)
  let size = 0
  let rewriteAt = 0
  let broken = false

  const refuse = (problem: string) => (cause: unknown) => new JournalError({ file, problem, cause })
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

  /** A crash leaves either file whole: the old one has its name until the new one is on disk. */
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
        // Only the last line may be one that a crash cut.
        cut === undefined
          ? Effect.match(decode(line), { onSuccess: options.apply, onFailure: (error) => void (cut = error) })
          : Effect.fail(cut)
      )
    )
  })

  yield* Effect.mapError(fs.makeDirectory(directory, { recursive: true }), refuse("cannot be made"))
  yield* own(file)
  yield* Effect.mapError(replay, refuse("cannot be read"))
  yield* Effect.mapError(rewrite, refuse("cannot be written"))

  const save = (change: C) =>
    Effect.andThen(write(file, "a", [change]), Effect.sync(() => options.apply(change))).pipe(
      Effect.andThen(Effect.suspend(() => size > rewriteAt ? rewrite : Effect.void)),
      // What of a failed write is on disk, nobody knows: nothing may come after it until a start has read it.
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
