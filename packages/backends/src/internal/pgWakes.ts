/**
 * Hints between processes on PostgreSQL: `NOTIFY`, on one channel for all processes that share the tables.
 *
 * Hints are sent after the commit, in a statement of their own: `NOTIFY` inside a commit was measured to make all commits of
 * the database wait for each other. The first hint is sent at once. Hints that arise within the next milliseconds are collected
 * for the next statement.
 */
import { PgConnection } from "@effect/sql-pg"
import type { PgClient } from "@effect/sql-pg/PgClient"
import { NewId, TaskId, UserId } from "@perennial/domain/Ids"
import type { Wake } from "@perennial/domain/Wake"
import { Deferred, Effect, Latch, Option, Schedule, Schema, Stream } from "effect"
import type { SqlError } from "effect/sql"
import { answered, makeWithRetries } from "./sqlRetry.ts"
import { readRows } from "./sqlRows.ts"

/** The largest payload that PostgreSQL accepts, in bytes. */
const payloadBytes = 7_999
/** The largest number of hints in the queue. Above it one hint `all` replaces them. */
const waiting = 10_000
/** The largest number of received hints that wait. Above it the oldest hints are dropped. */
const unfollowed = 4_096
/** The shortest time between two statements with hints: a busy process would otherwise spend a connection on hints. */
const spacing = "5 millis"
/** How long one connection listens. A server that has lost its part in a fail-over may never close it, and sends nothing. */
const lifetime = "30 minutes"

const why = ({ reason: { cause, message } }: SqlError.SqlError) => cause instanceof Error ? cause.message : message

/**
 * Settings for a connection of its own. A connection that is hardly used must notice that the server is gone, and a
 * connection that does not answer must be closed, which is not possible with a shared one.
 */
export const ownConfig = ({ config }: PgClient): PgClient["config"] => ({
  ...config,
  keepAlive: config.keepAlive ?? "10 seconds",
  multiplex: false
})

const schedule = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(Schedule.jittered)

const all: Wake = { kind: "all" }

const kinds: ReadonlySet<string> = new Set(
  ["log", "intent", "head", "user", "all"] satisfies ReadonlyArray<Wake["kind"]>
)
const isKind = (kind: string): kind is Wake["kind"] => kinds.has(kind)

/** A payload: the id of the sender, then kinds and ids alternately. */
const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Schema.String)))

const beginning = (origin: string) => `["${origin}"`

/** Other programs may write to the channel. Payloads that are not valid are ignored, and those of this process are not read. */
const toWakes = (payload: string, self: string): ReadonlyArray<Wake> => {
  if (payload.startsWith(beginning(self))) return []
  const [, ...fields] = Option.getOrElse(decode(payload), (): ReadonlyArray<string> => [])
  const wakes: Array<Wake> = []
  for (let i = 0; i < fields.length; i += 2) {
    const [kind = "", id = ""] = fields.slice(i, i + 2)
    if (kind === "all") wakes.push(all)
    else if (kind === "user" && id !== "") wakes.push({ kind, userId: UserId.make(id) })
    else if (isKind(kind) && id !== "") wakes.push({ kind, taskId: TaskId.make(id) })
  }
  return wakes
}

const utf8 = new TextEncoder()

/** Divides the hints into payloads. A hint is far smaller than a payload. */
const pack = (origin: string, hints: Iterable<string>): ReadonlyArray<string> => {
  const payloads: Array<string> = []
  const start = beginning(origin)
  let payload = start
  let bytes = start.length + 1
  for (const hint of hints) {
    const added = utf8.encode(hint).length + 1
    if (bytes + added > payloadBytes) {
      payloads.push(`${payload}]`)
      payload = start
      bytes = start.length + 1
    }
    payload += `,${hint}`
    bytes += added
  }
  return [...payloads, `${payload}]`]
}

const readTables = readRows(Schema.Struct({ id: Schema.String }))

export interface PgWakes {
  /** Sends hints to other processes, without waiting. */
  readonly hint: (kind: "log" | "intent" | "head" | "user", id: TaskId | UserId) => void
  /**
   * The hints of other processes, on a connection of the stream's own: a listener from the pool of the client would keep the
   * pool from closing. After every connect the first hint is `all`, because earlier hints may be lost. A connection that
   * fails is made again.
   */
  readonly wakes: Stream.Stream<Wake>
}

/** Needs the tables. The sending fiber lives as long as the scope. At its end it sends the remaining hints. */
export const make = Effect.fnUntraced(function*(client: PgClient) {
  const sql = client.withoutTransforms()
  const withRetries = makeWithRetries(sql)
  const origin = yield* Effect.flatten(NewId)
  const [table] = yield* readTables(sql`SELECT 'perennial_tasks'::regclass::oid::text AS id`).pipe(
    // The statement names the type of its column.
    Effect.catchTag("CodecError", Effect.die)
  )
  const channel = `perennial_${table?.id}`

  const hints = new Set<string>()
  const awake = yield* Latch.make(false)
  const add = (hint: string) => {
    if (hints.size >= waiting) {
      hints.clear()
      hints.add(`"all",""`)
    }
    hints.add(hint)
    awake.openUnsafe()
  }

  const send = Effect.suspend(() => {
    awake.closeUnsafe()
    if (hints.size === 0) return Effect.void
    const sent = [...hints]
    hints.clear()
    const payloads = pack(origin, sent)
    return withRetries(
      () => sql`SELECT pg_notify(${channel}, payload) FROM unnest(${payloads}::text[]) AS payload`,
      (cause) => cause
    ).pipe(
      Effect.onInterrupt(() => Effect.sync(() => sent.forEach(add))),
      Effect.ignore({ log: "Warn", message: "Hints could not be sent." })
    )
  })
  const ended = yield* Deferred.make<void>()
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Deferred.succeed(ended, undefined), Effect.timeoutOption(send, "1 second"))
  )
  yield* awake.await.pipe(
    Effect.andThen(send),
    Effect.andThen(Effect.sleep(spacing)),
    Effect.forever,
    Effect.forkScoped
  )

  const listening = Effect.gen(function*() {
    const connection = yield* PgConnection.make(ownConfig(client))
    const told = Stream.fromQueue(yield* answered(connection.listen(channel)))
    return Stream.concat(
      Stream.succeed(all),
      Stream.flattenIterable(Stream.map(told, ({ payload }) => toWakes(payload, origin)))
    ).pipe(Stream.interruptWhen(Effect.sleep(lifetime)))
  })
  return {
    hint: (kind, id) => add(`"${kind}",${JSON.stringify(id)}`),
    wakes: Stream.unwrap(listening).pipe(
      Stream.repeat(Schedule.forever),
      Stream.tapError((error) => Effect.logWarning(`The connection for hints failed and is made again: ${why(error)}`)),
      Stream.retry(schedule),
      // The schedule has no end.
      Stream.orDie,
      Stream.buffer({ capacity: unfollowed, strategy: "sliding" }),
      Stream.interruptWhen(Deferred.await(ended))
    )
  } satisfies PgWakes
})
