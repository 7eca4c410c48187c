/**
 * The stores of the benchmark. It starts its own PostgreSQL and Redis servers, with durable settings: all writes go to the
 * disk, as in production.
 */
import { PgClient } from "@effect/sql-pg"
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, type Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "redis"
import * as Postgres from "../packages/backends/test/support/postgresServer.ts"
import * as Redis from "../packages/backends/test/support/redisServer.ts"

export type StoreName = "memory" | "sqlite" | "postgres" | "redis"

/** The layer of a store. `url` is the result of `emptyStore`. */
export const layer = (name: StoreName, url: string): Layer.Layer<TaskBackend | ConversationStore, Error> => {
  switch (name) {
    case "memory":
      return MemoryStore.layer
    case "sqlite":
      return SqliteStore.layer({ filename: url })
    case "postgres":
      return PgStore.layer({ url })
    case "redis":
      return RedisStore.layer({ url })
  }
}

/** The servers of the stores. `emptyStore` makes an empty store for one or several processes. */
export interface Servers extends AsyncDisposable {
  /** Returns undefined if the server cannot be started on this machine. */
  readonly emptyStore: (name: StoreName) => Promise<string | undefined>
}

const cannot = (name: string, program: string): undefined => {
  console.error(`Skipped on ${name}: it is not installed; \`apt-get install ${program}\` does that.`)
}

const emptyDatabase = (server: Redacted.Redacted): Promise<string> => {
  const name = `bench_${randomUUID().replaceAll("-", "")}`
  const url = new URL(Redacted.value(server))
  url.pathname = `/${name}`
  return Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE DATABASE ${sql(name)}`).pipe(
    Effect.provide(PgClient.layer({ url: server, maxConnections: 1 })),
    Effect.as(url.href),
    Effect.runPromise
  )
}

const flush = async (url: string): Promise<string> => {
  const client = createClient({ url })
  await client.connect()
  await client.flushAll()
  await client.close()
  return url
}

/** Makes the servers. Each is started when it is needed for the first time. */
export const makeServers = (): Servers => {
  const ends: Array<() => Promise<void> | void> = []
  let postgres: ReturnType<typeof Postgres.makeServer> | undefined
  let redis: ReturnType<typeof Redis.makeServer> | undefined

  const startPostgres = async () => {
    const server = await Postgres.makeServer()
    ends.push(server.remove, () => server.stop("immediate"))
    await server.start()
    return server
  }
  const startRedis = async () => {
    const server = await Redis.makeServer()
    ends.push(server.remove)
    await server.start()
    return server
  }

  return {
    emptyStore: async (name) => {
      if (name === "memory") return "memory"
      if (name === "sqlite") {
        const directory = mkdtempSync(join(tmpdir(), "perennial-bench-"))
        ends.push(() => rmSync(directory, { recursive: true, force: true }))
        return join(directory, "bench.db")
      }
      if (name === "postgres") {
        if (!Postgres.isInstalled) return cannot("PostgreSQL", "postgresql")
        return await emptyDatabase((await (postgres ??= startPostgres())).url)
      }
      if (!Redis.isInstalled) return cannot("Redis", "redis-server")
      return await flush((await (redis ??= startRedis())).url)
    },
    [Symbol.asyncDispose]: async () => {
      for (const end of ends.toReversed()) await end()
    }
  }
}
