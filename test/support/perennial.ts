/**
 * Runs the program `perennial` as a process.
 */
import { Deferred, Effect, Fiber, type PlatformError, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { environment } from "./server.ts"

const main = "packages/http/src/cli/main.ts"

export interface Options {
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the program. It is killed when the scope closes. */
export const begin = Effect.fnUntraced(function*(args: ReadonlyArray<string>, { env = {} }: Options = {}) {
  const handle = yield* ChildProcess.make(process.execPath, [main, ...args], {
    env: { ...environment, ...env },
    killSignal: "SIGKILL"
  })
  const printed = { out: "", err: "" }
  const waits = new Set<{ readonly text: string; readonly to: "out" | "err"; readonly seen: Deferred.Deferred<void> }>()
  const collect = (to: "out" | "err", bytes: Stream.Stream<Uint8Array, PlatformError.PlatformError>) =>
    bytes.pipe(
      Stream.decodeText(),
      Stream.runForEach((text) =>
        Effect.sync(() => {
          printed[to] += text
          for (const wait of waits) {
            if (printed[wait.to].includes(wait.text)) Deferred.doneUnsafe(wait.seen, Effect.void)
          }
        })
      )
    )
  const reading = yield* Effect.forkScoped(
    Effect.all([collect("out", handle.stdout), collect("err", handle.stderr)], { concurrency: 2 })
  )
  const ended = Effect.gen(function*() {
    yield* Fiber.join(reading)
    return { code: Number(yield* handle.exitCode), ...printed }
  })
  return {
    ended,
    /** What it has printed so far. */
    printed: Effect.sync(() => ({ ...printed })),
    /** Returns when the program has printed a text; dies if it ends without it. */
    until: Effect.fnUntraced(function*(to: "out" | "err", text: string) {
      const wait = { to, text, seen: yield* Deferred.make<void>() }
      if (printed[to].includes(text)) return
      waits.add(wait)
      yield* Effect.raceFirst(
        Deferred.await(wait.seen),
        Effect.flatMap(ended, (end) => Effect.die(new Error(`It ended without ${text}: ${JSON.stringify(end)}`)))
      )
    }),
    /** Sends a signal, unless the program has ended. */
    signal: (signal: "SIGINT" | "SIGTERM") => Effect.ignore(Effect.try(() => process.kill(handle.pid, signal)))
  }
})

/** Runs the program to its end. */
export const perennial = (args: ReadonlyArray<string>, options?: Options) =>
  Effect.scoped(Effect.flatMap(begin(args, options), ({ ended }) => ended))

/** Runs a line of a shell in which `perennial` is the program. */
export const shell = (line: string, { env = {} }: Options = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* ChildProcess.make("/bin/sh", ["-c", `perennial() { "$NODE" ${main} "$@"; }\n${line}`], {
      env: { ...environment, NODE: process.execPath, ...env }
    })
    const output = yield* Stream.mkString(Stream.decodeText(handle.all))
    return { code: Number(yield* handle.exitCode), output }
  }))
