/**
 * Hints between processes: a stream of Redis that every process reads over a connection of its own.
 */
import { TaskId, UserId } from "@perennial/domain/Ids"
import type { Wake } from "@perennial/domain/Wake"
import { Effect, Schedule, Stream } from "effect"
import type { Redis } from "effect/persistence"
import { answered } from "./redisConnection.ts"
import { entries } from "./redisServer.ts"

/** How long the server waits for new entries before it answers without any, in milliseconds: less than `answered` waits. */
const blockMillis = 5_000
/** Hints in one answer. */
const count = 1_000

const schedule = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)

const all: Wake = { kind: "all" }

const kinds: ReadonlySet<string> = new Set(["log", "intent", "head", "user"] satisfies ReadonlyArray<Wake["kind"]>)
const isKind = (kind: string): kind is Wake["kind"] => kinds.has(kind)

/** An entry: its id, and `origin <origin>` followed by kinds and ids by turns. */
type Entry = readonly [id: string, fields: ReadonlyArray<string>]

const toWakes = ([, fields]: Entry, origin: string): ReadonlyArray<Wake> => {
  if (fields[1] === origin) return []
  const wakes: Array<Wake> = []
  for (let i = 2; i < fields.length; i += 2) {
    const [kind, id] = fields.slice(i, i + 2)
    // A newer version may write further kinds: they are ignored.
    if (kind === "all") wakes.push(all)
    if (kind === undefined || id === undefined || !isKind(kind)) continue
    wakes.push(kind === "user" ? { kind, userId: UserId.make(id) } : { kind, taskId: TaskId.make(id) })
  }
  return wakes
}

/**
 * The hints that other processes write to the stream from now on. `all` comes first after every connection, because hints
 * may have been missed before. A connection that fails is made again.
 */
export const make = (redis: Redis.Redis["Service"], { origin, stream }: {
  readonly stream: string
  /** Marks the hints of this process. */
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
      // The command reads one stream.
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
