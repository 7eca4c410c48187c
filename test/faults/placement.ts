/**
 * Conversations whose tasks a certain process executes. With the engine of one process a process executes what it accepts. A
 * cluster places conversations: a short task in each shows where.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schema } from "effect"
import * as Clients from "./clients.ts"
import * as Ledger from "./ledger.ts"
import type { Run } from "./run.ts"
import type { Slot } from "./world.ts"

/** `shardsPerGroup` of effect/cluster; each runner has a lock of each of its shards, in one session. */
const shards = 300
/** A third of the shards, and what chance adds. */
const mostShards = 130
/**
 * Longer than `shardLockRefreshInterval`: effect/cluster gives the release of a shard that time, and then takes another session,
 * in which it takes all its locks again.
 */
const betweenLooks = "5 seconds"

const Counts = Schema.Array(Schema.Struct({ shards: Schema.Int }))

/** Waits until each runner has its part of the shards, and no shard moves between two looks. */
const spread = Effect.fnUntraced(function*(runners: number) {
  const sql = yield* PgClient.PgClient
  const look = Effect.flatMap(
    sql`SELECT count(*)::int AS shards FROM pg_locks WHERE locktype = 'advisory' AND granted GROUP BY pid ORDER BY pid`,
    Schema.decodeUnknownEffect(Counts)
  )
  for (let before = "";; yield* Effect.sleep(betweenLooks)) {
    const counts = (yield* look).map(({ shards }) => shards)
    const sum = counts.reduce((sum, count) => sum + count, 0)
    const isSpread = counts.length === runners && sum === shards && Math.max(...counts) <= mostShards
    if (isSpread && before === counts.join()) return
    before = counts.join()
  }
})

/** Waits until all processes are up, and tasks stay where they are. */
export const settled = ({ world }: Run) => {
  if (world.engine === "local") return world.allUp
  const client = PgClient.layer({ url: Redacted.make(world.store.url), maxConnections: 1 })
  return Effect.andThen(world.allUp, Effect.orDie(Effect.provide(spread(world.slots.length), client)))
}

const probe = Effect.fnUntraced(function*(run: Run, conversationId: string) {
  const name = `${conversationId}-where`
  const id = yield* Clients.start(run, { name, words: 1, drip: 1, steps: [] }, { conversationId })
  const watching = yield* Clients.watch(run, id, name)
  yield* watching.ended
  return { conversationId, taskId: id }
})

/** The ids of so many conversations, in which no task runs. */
export const conversationsAt = Effect.fnUntraced(function*(run: Run, slot: Slot, name: string, count: number) {
  const ids = (from: number) => Array.from({ length: count }, (_, i) => `${name}-${from + i}`)
  if (run.world.engine === "local") return ids(0)
  const found: Array<string> = []
  for (let n = 0; found.length < count; n += count) {
    const probes = yield* Effect.forEach(ids(n), (id) => probe(run, id), { concurrency: 16 })
    const claims = Ledger.ofType(Ledger.read(run.world.ledger), "claimed")
    const here = new Set(claims.flatMap(({ pid, taskId }) => pid === slot.process?.pid ? [taskId] : []))
    found.push(...probes.flatMap(({ conversationId, taskId }) => here.has(taskId) ? [conversationId] : []))
  }
  return found.slice(0, count)
})
