/**
 * Runs the server of examples/evergreen as a process.
 */
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { environment } from "../support/server.ts"

const evergreen = (settings: Record<string, string>) =>
  ChildProcess.make(process.execPath, ["examples/evergreen/src/main.ts"], {
    env: { ...environment, PORT: "0", PERENNIAL_STORE: "memory", ...settings }
  })

/** Runs a server that cannot start. Returns its exit code and its output. */
export const refused = (settings: Record<string, string>) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* evergreen(settings)
    const output = yield* Stream.mkString(Stream.decodeText(handle.all))
    return { code: yield* handle.exitCode, lines: output.trim().split("\n") }
  }))

/** Starts a server, and waits until it listens. Returns its process, its address and its output. */
export const started = Effect.fnUntraced(function*(settings: Record<string, string>) {
  const handle = yield* evergreen(settings)
  const greeting: Array<string> = []
  yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.takeUntil((line) => line.includes("curl")),
    Stream.runForEach((line) => Effect.sync(() => greeting.push(line)))
  )
  const address = /http:\/\/[\w.:]+/.exec(greeting.join("\n"))?.[0] ?? ""
  return { handle, address, greeting }
})

/** Starts a server whose model answers with this script. */
export const scripted = Effect.fnUntraced(function*(script: string, settings: Record<string, string> = {}) {
  const files = yield* FileSystem.FileSystem
  const file = yield* files.makeTempFileScoped()
  yield* files.writeFileString(file, script)
  return yield* started({ PERENNIAL_SCRIPT: file, ...settings })
})
