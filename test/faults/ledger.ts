/**
 * What the processes of the fault harness did, beside the store: one file that all of them append to, a line at a time.
 * What is in it survives `kill -9`.
 */
import { Clock, Effect, Schema } from "effect"
import { appendFileSync, closeSync, openSync, readFileSync, readSync, watch } from "node:fs"

const at = { at: Schema.Int, pid: Schema.Int, taskId: Schema.String }
const attempt = Schema.Int

export const Entry = Schema.Union([
  /** The process became the owner of a task. */
  Schema.Struct({ ...at, type: Schema.tag("claimed"), attempt }),
  /** It ended the task, or gave it up. */
  Schema.Struct({ ...at, type: Schema.tag("finished") }),
  Schema.Struct({ ...at, type: Schema.tag("released") }),
  /** A write was refused: it owns the task no longer. */
  Schema.Struct({ ...at, type: Schema.tag("refused") }),
  /** The model was asked for a step. */
  Schema.Struct({ ...at, type: Schema.tag("asked"), attempt, step: Schema.Int }),
  /** A tool was entered, and left. */
  Schema.Struct({ ...at, type: Schema.tag("entered"), attempt, tool: Schema.String, call: Schema.String }),
  Schema.Struct({
    ...at,
    type: Schema.tag("left"),
    attempt,
    call: Schema.String,
    how: Schema.Literals(["completed", "interrupted"])
  }),
  /** The process is about to die on the task. */
  Schema.Struct({ ...at, type: Schema.tag("dying") })
])
export type Entry = typeof Entry.Type
export type Of<Type extends Entry["type"]> = Extract<Entry, { readonly type: Type }>

type WithoutPlace<E> = E extends Entry ? Omit<E, "at" | "pid"> : never

/** Appends to the file; a line is written in one piece. The clock of the process may be ahead, by so many milliseconds. */
export const writer = (file: string, clockAhead: number) => (entry: WithoutPlace<Entry>): Effect.Effect<void> =>
  Effect.map(
    Clock.currentTimeMillis,
    (now) => appendFileSync(file, `${JSON.stringify({ at: now - clockAhead, pid: process.pid, ...entry })}\n`)
  )

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Entry))

/** Everything that was written, in the order of the file. */
export const read = (file: string): ReadonlyArray<Entry> =>
  readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => decode(line))

/** Reads a file that grows: each call returns everything that was written so far, and decodes only what is new. */
export const tail = (file: string): () => ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  const chunk = Buffer.alloc(65_536)
  let position = 0
  let rest = ""
  return () => {
    const descriptor = openSync(file, "r")
    try {
      for (let size = 0; (size = readSync(descriptor, chunk, 0, chunk.length, position)) > 0; position += size) {
        // A line has no character of more than one byte.
        const lines = (rest + chunk.toString("latin1", 0, size)).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) entries.push(decode(line))
      }
    } finally {
      closeSync(descriptor)
    }
    return entries
  }
}

/** Waits until what was written satisfies the predicate. */
export const until = Effect.fnUntraced(function*(file: string, found: (entries: ReadonlyArray<Entry>) => boolean) {
  const entries = tail(file)
  const watcher = yield* Effect.acquireRelease(
    Effect.sync(() => watch(file)),
    (watcher) => Effect.sync(() => watcher.close())
  )
  yield* Effect.callback<void>((resume) => {
    const look = () => {
      if (found(entries())) resume(Effect.void)
    }
    watcher.on("change", look)
    look()
  })
}, Effect.scoped)

export const ofType = <Type extends Entry["type"]>(
  entries: ReadonlyArray<Entry>,
  type: Type
): ReadonlyArray<Of<Type>> => entries.filter((entry): entry is Of<Type> => entry.type === type)
