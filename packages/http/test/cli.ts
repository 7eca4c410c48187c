/**
 * Runs the program `perennial` in this process, with a standard input, output and error of its own.
 */
import { NodeServices } from "@effect/platform-node"
import { ConfigProvider, Console, Effect, Exit, Layer, Runtime, Sink, Stdio, Stream } from "effect"
import { Output } from "../src/cli/output.ts"
import { run } from "../src/cli/perennial.ts"
import { makeUnsafe, type Signal, Signals } from "../src/cli/signals.ts"

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly terminal?: boolean
  /** Called with the standard output so far, each time something is written to it. */
  readonly onOutput?: (output: string) => void
}

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const bytes = new TextEncoder()
const text = (chunk: string | Uint8Array): string => typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)

/** A program that runs, or will run. `signal` delivers a signal, if a command listens. */
export const makeProgram = (args: ReadonlyArray<string>, options: Options = {}) => {
  const { deliver, signals } = makeUnsafe()
  let out = ""
  let err = ""
  const stdio = Stdio.layerTest({
    stdinIsTerminal: Effect.succeed(options.terminal ?? false),
    stdoutIsTerminal: Effect.succeed(options.terminal ?? false),
    stderrIsTerminal: Effect.succeed(options.terminal ?? false),
    stdin: Stream.make(bytes.encode(options.stdin ?? "")),
    stdout: () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.sync(() => {
          out += text(chunk)
          options.onOutput?.(out)
        })
      ),
    stderr: () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.sync(() => {
          err += text(chunk)
        })
      )
  })
  const log = (...values: ReadonlyArray<unknown>) => {
    out += `${values.join(" ")}\n`
  }
  const layer = Layer.mergeAll(
    Output.layer,
    Layer.succeed(Signals, signals),
    Layer.succeed(Console.Console, { ...console, log })
  ).pipe(
    Layer.provideMerge(stdio),
    Layer.provideMerge(NodeServices.layer),
    Layer.provideMerge(ConfigProvider.layer(ConfigProvider.fromEnv({ env: options.env ?? {} })))
  )
  const ended = Effect.map(Effect.exit(Effect.provide(run(args, "1.2.3"), layer)), (exit): Ended => {
    let code = 0
    if (Exit.isFailure(exit)) Runtime.defaultTeardown(exit, (given) => (code = given))
    return { code, out, err }
  })
  return { ended, signal: (signal: Signal) => deliver(signal) }
}

/** Runs the program to its end. */
export const perennial = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  makeProgram(args, options).ended
