/**
 * A cluster on one machine: three runners and a web node, each a process of the complete server, on one PostgreSQL.
 *
 *     PERENNIAL_STORE=postgres://perennial:perennial@127.0.0.1:5432/perennial node examples/cluster/src/main.ts
 *
 * Start a task at the web node, and kill the runner that executes it: another one goes on with it. docs/scaling.md explains what
 * happens.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

const server = fileURLToPath(new URL("../../evergreen/src/main.ts", import.meta.url))

/** Runs a server, and prints its lines with its name before them. It ends in an orderly way with this program. */
const run = (name: string, port: number, env: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const handle = yield* ChildProcess.make(process.execPath, [server], {
      env: { PORT: String(port), PERENNIAL_ENGINE: "cluster", ...env },
      extendEnv: true,
      killSignal: "SIGTERM",
      forceKillAfter: "45 seconds"
    })
    yield* handle.all.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => Console.log(`${name}: ${line}`))
    )
  }).pipe(Effect.scoped)

const main = Effect.gen(function*() {
  const store = yield* Config.String("PERENNIAL_STORE").pipe(
    Config.withDefault("postgres://perennial:perennial@127.0.0.1:5432/perennial")
  )
  const port = yield* Config.Port("PORT").pipe(Config.withDefault(3000))
  const runnerPort = yield* Config.Port("RUNNER_PORT").pipe(Config.withDefault(24_430))
  const runners = [1, 2, 3].map((i) =>
    run(`runner ${i}`, port + i, { PERENNIAL_STORE: store, PERENNIAL_RUNNER_ADDRESS: `127.0.0.1:${runnerPort + i}` })
  )
  const web = run("web", port, { PERENNIAL_STORE: store, PERENNIAL_EXECUTE: "false" })
  yield* Effect.all([...runners, web], { concurrency: "unbounded" })
})

NodeRuntime.runMain(Effect.provide(main, NodeServices.layer))
