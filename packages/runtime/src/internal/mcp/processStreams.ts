/**
 * A process that speaks MCP, as the client of `effect/ai` reads it: lines of its standard output that are no messages are
 * dropped, because programs and the libraries in them write other things there.
 */
import { Effect, Stream } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { readMessages } from "./messages.ts"

type Handle = Effect.Success<ReturnType<ChildProcessSpawner.ChildProcessSpawner["Service"]["spawn"]>>

/** Characters of a line; a little more than the client accepts, so that the client refuses a longer one. */
const maxLine = 17 * 1024 * 1024

const readOutput = (stdout: Handle["stdout"]): Handle["stdout"] =>
  Stream.suspend(() => {
    let rest = ""
    const read = Effect.fnUntraced(function*(chunk: string) {
      const lines = (rest + chunk).split("\n")
      rest = lines.pop() ?? ""
      const messages: Array<string> = []
      for (const line of lines) {
        // An error that belongs to no request would make the client give up the process.
        const read = readMessages(line).filter(({ kind }) => kind !== "stray")
        if (read.length === 0 && line.trim() !== "") {
          yield* Effect.logDebug("An MCP server wrote a line that is no message.")
        }
        for (const message of read) messages.push(`${message.text}\n`)
      }
      const text = messages.join("")
      if (rest.length <= maxLine) return text
      const long = rest
      rest = ""
      return text + long
    })
    return Stream.encodeText(Stream.mapEffect(Stream.decodeText(stdout), read))
  })

/** A spawner of processes whose output can be read by the client. `lost` runs when a process has ended. */
export const liberalSpawner = (
  spawner: ChildProcessSpawner.ChildProcessSpawner["Service"],
  lost: Effect.Effect<void>
): ChildProcessSpawner.ChildProcessSpawner["Service"] =>
  ChildProcessSpawner.make((command) =>
    spawner.spawn(command).pipe(
      // Notices the death of the process also when there is no call.
      Effect.tap((handle) => Effect.forkScoped(Effect.andThen(Effect.exit(handle.exitCode), lost))),
      Effect.map((handle) => ChildProcessSpawner.makeHandle({ ...handle, stdout: readOutput(handle.stdout) }))
    )
  )
