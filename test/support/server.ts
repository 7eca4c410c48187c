/**
 * A server as a process of its own, to be killed and started again.
 */
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"

export interface Options {
  /** The module to run; the complete example by default. */
  readonly module?: string
  readonly env?: Readonly<Record<string, string>>
  /** The port of an earlier server, to take its place; any free one by default. */
  readonly port?: number | undefined
}

/** The environment of every program that a test starts; nothing else is inherited. */
export const environment = {
  PATH: "/usr/bin:/bin",
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? ""
}

/** Starts a server and resolves when it says its address. It is killed when the scope closes. */
export const start = Effect.fnUntraced(function*(options: Options) {
  const handle = yield* ChildProcess.make(
    process.execPath,
    [options.module ?? "examples/evergreen/src/main.ts"],
    {
      env: { ...environment, PORT: String(options.port ?? 0), ...options.env },
      killSignal: "SIGKILL"
    }
  )
  const said: Array<string> = []
  yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.takeUntil((line) => /http:\/\/\S+:\d+/.test(line)),
    Stream.runForEach((line) => Effect.sync(() => said.push(line)))
  )
  const address = /http:\/\/[\w.]+:\d+/.exec(said.at(-1) ?? "")?.[0]
  if (address === undefined) return yield* Effect.die(new Error(`the server did not start:\n${said.join("\n")}`))
  return {
    address,
    pid: Number(handle.pid),
    port: Number(new URL(address).port),
    /** kill -9; resolves when it is dead. */
    kill: Effect.ignore(handle.kill({ killSignal: "SIGKILL" })),
    /** SIGTERM; resolves with the exit code. */
    terminate: Effect.andThen(Effect.ignore(handle.kill({ killSignal: "SIGTERM" })), handle.exitCode),
    /** SIGSTOP: it does nothing more, and its connections stay open. */
    freeze: Effect.sync(() => process.kill(handle.pid, "SIGSTOP")),
    /** SIGCONT. */
    thaw: Effect.sync(() => process.kill(handle.pid, "SIGCONT"))
  }
})
