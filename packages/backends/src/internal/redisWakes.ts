/**
 * Hints between processes: one stream of Redis, which every process reads on a connection of its own.
 */
import { TaskId } from "@perennial/domain/Ids"
import type { Wake } from "@perennial/domain/TaskBackend"
import { Effect, Schedule, Stream } from "effect"
import type { Redis } from "effect/persistence"
import { answered } from "./redisConnection.ts"
import { entries } from "./redisPersistence.ts"

/** How long the server waits for news before it answers without any, in milliseconds: less than an answer may take. */
const blockMillis = 5_000
/** Hints in one answer. */
const count = 1_000

const schedule = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)

const all: Wake = { kind: "all" }

const kinds: ReadonlySet<string> = new Set(["log", "intent", "head"] satisfies ReadonlyArray<Wake["kind"]>)
const isKind = (kind: string): kind is Wake["kind"] => kinds.has(kind)

/** An entry: its id, and `origin <origin>` followed by kinds and tasks by turns. */
type Entry = readonly [id: string, fields: ReadonlyArray<string>]

const toWakes = ([, fields]: Entry, origin: string): ReadonlyArray<Wake> => {
  if (fields[1] === origin) return []
  const wakes: Array<Wake> = []
  for (let i = 2; i < fields.length; i += 2) {
    const [kind, taskId] = fields.slice(i, i + 2)
    // A kind that a newer version writes is not understood here.
    if (kind === undefined || taskId === undefined || !isKind(kind)) continue
    wakes.push({ kind, taskId: TaskId.make(taskId) })
  }
  return wakes
}

/**
 * What other processes write to the stream from now on. After every connection `all` comes first: what was missed
 * before it is not known. A connection that fails is made again.
 */
export const make = (redis: Redis.Redis["Service"], { origin, stream }: {
  readonly stream: string
  /** What this process writes under. */
  readonly origin: string
}): Stream.Stream<Wake> => {
  const connected = Effect.gen(function*() {
    const connection = yield* answered(redis.reserve)
    const newest = yield* answered(
      connection.send<ReadonlyArray<Entry>>("XREVRANGE", stream, "+", "-", "COUNT", "1")
    )
    let cursor = newest[0]?.[0] ?? "0-0"

    const next = Effect.gen(function*() {
      const options = ["COUNT", String(count), "BLOCK", String(blockMillis), "STREAMS", stream, cursor]
      const reply = yield* answered(connection.send("XREAD", ...options))
      // One stream was asked for.
      const news = (entries(reply)[0]?.[1] ?? []) as ReadonlyArray<Entry>
      cursor = news.at(-1)?.[0] ?? cursor
      return news.flatMap((entry) => toWakes(entry, origin))
    })
    return Stream.concat(Stream.succeed(all), Stream.flattenIterable(Stream.fromEffectRepeat(next)))
  })
  return Stream.unwrap(connected).pipe(
    Stream.tapError((error) => Effect.logWarning("The connection for hints failed; it is made again.", error)),
    Stream.retry(schedule),
    // The schedule has no end.
    Stream.orDie
  )
}
