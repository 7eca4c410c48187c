/**
 * The PostgreSQL and the Redis server that all tests of a Vitest execution share.
 *
 * Each is the server of `PERENNIAL_TEST_POSTGRES` or `PERENNIAL_TEST_REDIS`. Without this variable it is a server that
 * answers on the standard local port. Otherwise this module starts the installed program, and removes the server at the
 * end. Tests that need a server are skipped if none of these exists.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Option, Redacted } from "effect"
import { connect } from "node:net"
import type { TestProject } from "vitest/node"
import * as PostgresServer from "./postgresServer.ts"
import * as RedisServer from "./redisServer.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The address of the shared PostgreSQL server; empty if there is none. */
    readonly postgres: string
    /** The address of the shared Redis server; empty if there is none. */
    readonly redis: string
  }
}

interface Server {
  readonly url: string
  readonly remove: () => Promise<void>
}

const localPostgres = ["postgres", "root"].flatMap((user) =>
  ["test", "postgres"].map((database) => `postgres://${user}@127.0.0.1:5432/${database}`)
)

const answers = (text: string): Promise<boolean> => {
  const asked = Effect.flatMap(PgClient.PgClient, (sql) => sql`SELECT 1`)
  const client = PgClient.layer({ url: Redacted.make(text), maxConnections: 1, connectTimeout: "30 seconds" })
  return Effect.runPromise(Effect.map(Effect.option(Effect.provide(asked, client)), Option.isSome))
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.end()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

const findPostgres = async (): Promise<Server | undefined> => {
  const keep = async () => {}
  if (await isListening(5432)) {
    for (const url of localPostgres) {
      // The first of them that answers is used.
      // oxlint-disable-next-line eslint/no-await-in-loop
      if (await answers(url)) return { url, remove: keep }
    }
  }
  if (!PostgresServer.isInstalled) return undefined
  const server = await PostgresServer.makeServer()
  await server.start()
  const remove = async () => {
    await server.stop("immediate")
    server.remove()
  }
  return { url: Redacted.value(server.url), remove }
}

const findRedis = async (): Promise<Server | undefined> => {
  if (await isListening(6379)) return { url: "redis://127.0.0.1:6379", remove: async () => {} }
  if (!RedisServer.isInstalled) return undefined
  const server = await RedisServer.makeServer()
  await server.start()
  return { url: server.url, remove: server.remove }
}

/** Uses the server of the variable. Without the variable it finds a server, and sets the variable for later projects. */
const share = async (variable: string, find: () => Promise<Server | undefined>): Promise<Server> => {
  const given = process.env[variable] ?? ""
  const found = given === "" ? await find() : { url: given, remove: async () => {} }
  if (found !== undefined) process.env[variable] = found.url
  return found ?? { url: "", remove: async () => {} }
}

export default async (project: TestProject) => {
  const [postgres, redis] = await Promise.all([
    share("PERENNIAL_TEST_POSTGRES", findPostgres),
    share("PERENNIAL_TEST_REDIS", findRedis)
  ])
  project.provide("postgres", postgres.url)
  project.provide("redis", redis.url)
  return async () => {
    await Promise.all([postgres.remove(), redis.remove()])
  }
}
