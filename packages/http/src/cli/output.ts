/**
 * What the program prints. Results are for standard output, remarks for people are for standard error.
 *
 * Colours are used on a terminal only, and never if `NO_COLOR` is set.
 */
import { Config, Context, Data, Effect, Layer, Stdio, Stream } from "effect"

/** Nobody reads the standard output any more. */
export class OutputClosed extends Data.TaggedError("OutputClosed") {}

export class Output extends Context.Service<Output, {
  /** Prints a result, as it is. */
  readonly write: (text: string) => Effect.Effect<void, OutputClosed>
  /** Prints a remark as a line of its own. */
  readonly note: (text: string) => Effect.Effect<void>
  /** Prints why the program fails, as a line of its own. */
  readonly fail: (text: string) => Effect.Effect<void>
  /** Replaces the last progress on a terminal; prints nothing elsewhere. `""` removes it. */
  readonly progress: (text: string) => Effect.Effect<void>
  /** Emphasis in results. */
  readonly bold: (text: string) => string
}>()("@perennial/http/cli/output") {
  static readonly layer: Layer.Layer<Output, never, Stdio.Stdio> = Layer.effect(
    Output,
    Effect.gen(function*() {
      const stdio = yield* Stdio.Stdio
      const isPlain = yield* Effect.orDie(Config.all([
        Config.withDefault(Config.String("NO_COLOR"), ""),
        Config.withDefault(Config.String("TERM"), "")
      ])).pipe(Effect.map(([noColor, term]) => noColor !== "" || term === "dumb"))
      const remarksOnTerminal = yield* stdio.stderrIsTerminal
      const style = (code: number, isTerminal: boolean) => (text: string) =>
        isTerminal && !isPlain ? `\u001b[${code}m${text}\u001b[0m` : text
      const dim = style(2, remarksOnTerminal)
      const red = style(31, remarksOnTerminal)
      const remark = (text: string) => Effect.ignore(Stream.run(Stream.make(text), stdio.stderr()))
      let shown = false
      const clear = Effect.suspend(() => {
        const before = shown ? "\r\u001b[K" : ""
        shown = false
        return Effect.succeed(before)
      })
      return Output.of({
        write: (text) =>
          Effect.mapError(
            Effect.andThen(
              Effect.flatMap(clear, (before) => before === "" ? Effect.void : remark(before)),
              Stream.run(Stream.make(text), stdio.stdout())
            ),
            () => new OutputClosed()
          ),
        note: (text) => Effect.flatMap(clear, (before) => remark(`${before}${dim(text)}\n`)),
        fail: (text) => Effect.flatMap(clear, (before) => remark(`${before}${red(text)}\n`)),
        progress: (text) => {
          if (!remarksOnTerminal) return Effect.void
          return Effect.flatMap(clear, (before) => {
            shown = text !== ""
            return remark(text === "" ? before : `${before}${dim(text)}`)
          })
        },
        bold: style(1, yield* stdio.stdoutIsTerminal)
      })
    })
  )
}

/** Text of others, without the characters that control a terminal: tabs and ends of lines stay. */
export const printable = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- these characters are what is removed
  text.replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, "")

/** JSON without characters that control a terminal. It is one line. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[\u007F-\u009F]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The beginning of a text, on one line, of at most so many characters. */
export const brief = (text: string, length: number): string => {
  const line = printable(text).replace(/\s+/g, " ").trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}

/** Columns as wide as their widest cell. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows.reduce<Array<number>>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)),
    []
  )
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()}\n`).join("")
}
