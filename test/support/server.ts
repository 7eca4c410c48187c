/**
 * Runs a server as a process, which a test may kill and start again.
 */
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"

export interface Options {
  /** The module of the server. The default is the complete example. */
  readonly module?: string
  readonly env?: Readonly<Record<string, string>>
  /** The port, for example of an earlier server. The default is any free port. */
  readonly port?: number | undefined
}

/** The environment of every program that a test starts. Other variables are not inherited. */
export const environment = {
  PATH: "/usr/bin:/bin",
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? ""
}

/** Starts a server, and returns when it has printed its address. It is killed when the scope closes. */
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
    /** Kills the process (`kill -9`), and returns when it is dead. */
    kill: Effect.ignore(handle.kill({ killSignal: "SIGKILL" })),
    /** Sends SIGTERM, and returns the exit code. */
    terminate: Effect.andThen(Effect.ignore(handle.kill({ killSignal: "SIGTERM" })), handle.exitCode),
    /** Sends SIGSTOP: the process stands still, and its connections stay open. */
    freeze: Effect.sync(() => process.kill(handle.pid, "SIGSTOP")),
    /** Sends SIGCONT: the process continues. */
    thaw: Effect.sync(() => process.kill(handle.pid, "SIGCONT"))
  }
})
