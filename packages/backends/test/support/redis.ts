/**
 * Redis for tests: `PERENNIAL_TEST_REDIS` if it is set, else a server that answers on the standard local port, else one
 * of this process's own from the installed program. Without any of them tests are skipped.
 */
import { NodeRedis } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { Redis } from "effect/persistence"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

/** Whether a server can be started here. */
export const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : Promise.reject(new Error("no port"))
}

/** A server that keeps everything it answered, in a directory of its own. It has to be started. */
const makeServer = async () => {
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

/** A server that a test may kill (`kill -9`) and start again. It is removed at the end of the scope. */
export const ownServer = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.promise(makeServer),
    (server) => Effect.promise(server.remove)
  )
  yield* Effect.promise(server.start)
  return { url: server.url, start: Effect.promise(server.start), kill: Effect.promise(server.kill) }
})

const isListening = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.end()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

const find = async (): Promise<string | undefined> => {
  const given = process.env["PERENNIAL_TEST_REDIS"] ?? ""
  if (given !== "") return given
  if (await isListening(6379)) return "redis://127.0.0.1:6379"
  if (!isInstalled) return undefined
  const server = await makeServer()
  await server.start()
  afterAll(server.remove)
  return server.url
}

/** The server that all tests share, or undefined when there is none. */
export const url = await find()

/** Says in one line what is skipped and what to do about it. */
export const sayIsSkipped = (tests: string): void => {
  process.stderr.write(
    `Skipped: ${tests}. There is no Redis; \`apt-get install redis-server\` installs and starts one.\n`
  )
}

/** Tests against the shared server; without one they are skipped. */
export const withRedis = (tests: string, define: (url: string) => void): void => {
  if (url !== undefined) return define(url)
  sayIsSkipped(tests)
  describe.skip(tests, () => it("needs Redis", () => {}))
}

/** A prefix of its own each time it is built; its keys are deleted at the end. */
export const layerEmpty = <A, E, R>(url: string, make: (prefix: string) => Layer.Layer<A, E, R>) =>
  Layer.unwrap(Effect.sync(() => {
    const prefix = `perennial-test:${randomUUID()}:`
    const cleared = Layer.effectDiscard(
      Effect.flatMap(
        Redis.Redis,
        (redis) =>
          Effect.addFinalizer(() =>
            redis.send<ReadonlyArray<string>>("KEYS", `${prefix}*`).pipe(
              Effect.flatMap((keys) => keys.length === 0 ? Effect.void : redis.send("UNLINK", ...keys)),
              Effect.orDie
            )
          )
      )
    )
    return make(prefix).pipe(
      // The shared server may be one that is warned of.
      Layer.provide(Logger.layer([])),
      Layer.provide(cleared),
      Layer.provide(NodeRedis.layer({ url }))
    )
  }))
