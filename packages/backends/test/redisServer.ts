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

/** Whether Redis itself can be started here. */
export const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

const answers = (host: string, port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host, port }, () => {
      socket.end()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : Promise.reject(new Error("no port"))
}

/** A server of its own that keeps everything it answered, and can be killed and started again. */
export const ownServer = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "perennial-redis-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const port = yield* Effect.promise(freePort)
  let running: ChildProcess | undefined

  const start = Effect.promise(async () => {
    const options = { port, dir: directory, appendonly: "yes", appendfsync: "always", save: "", bind: "127.0.0.1" }
    running = spawn("redis-server", Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]))
    for await (const line of running.stdout ?? []) if (String(line).includes("Ready to accept connections")) break
    running.stdout?.resume()
  })
  const kill = Effect.promise(async () => {
    const server = running
    running = undefined
    if (server === undefined || !server.kill("SIGKILL")) return
    await once(server, "exit")
  })
  yield* Effect.addFinalizer(() => kill)
  yield* start
  return { url: `redis://127.0.0.1:${port}`, start, kill }
})

/** The server that all tests share, or undefined when there is none. */
export const url: string | undefined = (process.env["PERENNIAL_TEST_REDIS"] || undefined)
  ?? (await answers("127.0.0.1", 6379) ? "redis://127.0.0.1:6379" : undefined)

/** Tests against the shared server; without one they are skipped, and one line says so and what to do about it. */
export const withRedis = (tests: string, define: (url: string) => void): void => {
  if (url !== undefined) return define(url)
  process.stderr.write(`Skipped: ${tests}, for there is no Redis. To install it: apt-get install redis-server\n`)
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
    // The shared server may be one that is warned of.
    return make(prefix).pipe(
      Layer.provide(Logger.layer([])),
      Layer.provide(cleared),
      Layer.provide(NodeRedis.layer({ url }))
    )
  }))
