/**
 * The long tests of `test/soak`, which `pnpm test` leaves out.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"

const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url))

/** Runs them, with their output in the place of this process's own. The value says whether all of them passed. */
export const soaks = Effect.scoped(
  Effect.flatMap(
    ChildProcess.make(process.execPath, [vitest, "run", "--project=soak"], {
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit"
    }),
    ({ exitCode }) => Effect.map(exitCode, (code) => code === ChildProcessSpawner.ExitCode(0))
  )
).pipe(Effect.provide(NodeServices.layer), Effect.orDie)
