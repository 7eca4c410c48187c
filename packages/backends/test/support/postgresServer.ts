/**
 * A PostgreSQL server for one test, from the installed programs. The test may stop it and start it again.
 */
import { Effect, Redacted } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { freePort } from "./freePort.ts"

/** The directory of the newest installed binaries. Distributions keep them outside of the search path. */
const binaries: string | undefined = [
  ...(process.env["PATH"] ?? "").split(":").map((directory) => `${directory}/initdb`),
  "/usr/lib/postgresql/*/bin/initdb",
  "/usr/local/pgsql/bin/initdb",
  "/opt/homebrew/opt/postgresql*/bin/initdb"
].flatMap((pattern) => globSync(pattern).toSorted().toReversed()).map((file) => dirname(file))[0]

const isRoot = process.getuid?.() === 0

/** Whether a server can be started here. PostgreSQL refuses to run as root: the user `postgres` runs it then. */
export const isInstalled = binaries !== undefined && (!isRoot || spawnSync("id", ["postgres"]).status === 0)

/** Runs a command of PostgreSQL, and waits for its end. */
const execute = async (command: string, args: ReadonlyArray<string>): Promise<void> => {
  const line = [`${binaries}/${command}`, ...args].map((word) => `'${word}'`).join(" ")
  const [file, prefix] = isRoot ? ["su", ["postgres", "-s", "/bin/sh", "-c"]] : ["/bin/sh", ["-c"]]
  const child = spawn(file, [...prefix, `cd / && ${line}`], { stdio: "ignore" })
  const [status] = await once(child, "exit")
  if (status !== 0) throw new Error(`${command} failed with ${status}`)
}

/** A server with data of its own, which it keeps while it is stopped. `immediate` stops it like a crash. */
const makeWith = async (makeData: (directory: string) => Promise<void>) => {
  const directory = mkdtempSync(join(tmpdir(), "perennial-postgres-"))
  if (isRoot) spawnSync("chown", ["postgres", directory])
  const data = join(directory, "data")
  await makeData(data)
  const port = await freePort()
  return {
    data,
    url: Redacted.make(`postgres://postgres@127.0.0.1:${port}/postgres`),
    start: () => {
      const options = `-p ${port} -c listen_addresses=127.0.0.1 -k ${directory}`
      return execute("pg_ctl", ["-D", data, "-w", "start", "-o", options])
    },
    promote: () => execute("pg_ctl", ["-D", data, "-w", "promote"]),
    stop: (mode: "fast" | "immediate") => execute("pg_ctl", ["-D", data, "-w", "-m", mode, "stop"]),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

/** A server without data. */
export const makeServer = () =>
  makeWith((data) =>
    execute("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"])
  )

/** A replica whose primary sends nothing. */
const makeReplica = async () => {
  const server = await makeServer()
  await server.start()
  await server.stop("fast")
  writeFileSync(join(server.data, "standby.signal"), "")
  return server
}

const own = Effect.fnUntraced(function*(make: () => ReturnType<typeof makeServer>) {
  const server = yield* Effect.acquireRelease(
    Effect.promise(make),
    ({ remove }) => Effect.sync(remove)
  )
  const start = Effect.promise(server.start)
  const stop = (mode: "fast" | "immediate") => Effect.promise(() => server.stop(mode))
  yield* Effect.acquireRelease(start, () => stop("immediate"))
  return { url: server.url, start, stop, promote: Effect.promise(server.promote) }
})

/** A started server that a test may stop and start again. It is stopped and removed at the end of the scope. */
export const ownServer = own(makeServer)

/** A started replica, until it is promoted. It is stopped and removed at the end of the scope. */
export const ownReplica = own(makeReplica)
