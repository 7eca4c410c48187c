/**
 * A Redis server for one test, from the installed program. The test may kill it and start it again.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "./freePort.ts"

/** Whether a server can be started here. */
export const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

/** A server with its own directory. It keeps every acknowledged write. `start` starts it. */
export const makeServer = async () => {
  const directory = mkdtempSync(join(tmpdir(), "perennial-redis-"))
  const port = await freePort()
  const options = { port, dir: directory, appendonly: "yes", appendfsync: "always", save: "", bind: "127.0.0.1" }
  let running: ChildProcess | undefined

  const start = async () => {
    const server = spawn(
      "redis-server",
      Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]),
      {
        stdio: ["ignore", "pipe", "ignore"]
      }
    )
    running = server
    await new Promise<void>((resolve, reject) => {
      server.stdout.on("data", (text) => String(text).includes("Ready to accept connections") && resolve())
      server.on("exit", (code) => reject(new Error(`redis-server ended with ${code}`)))
    })
  }
  const kill = async () => {
    const server = running
    running = undefined
    if (server?.kill("SIGKILL") === true) await once(server, "exit")
  }
  const remove = async () => {
    await kill()
    rmSync(directory, { recursive: true, force: true })
  }
  return { url: `redis://127.0.0.1:${port}`, start, kill, remove }
}

/** A started server that a test may kill (`kill -9`) and start again. It is removed at the end of the scope. */
export const ownServer = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.promise(makeServer),
    (server) => Effect.promise(server.remove)
  )
  yield* Effect.promise(server.start)
  return { url: server.url, start: Effect.promise(server.start), kill: Effect.promise(server.kill) }
})
