/**
 * A connection to Redis of one's own. Commands of many fibers share it; one that failed or does not answer any more is
 * closed with all that waits for it, and the next command makes another.
 *
 * Not the client's: that one is never given up, and its end waits for answers that never come.
 */
import { Cause, Deferred, Effect, Exit, Scope } from "effect"
import { Redis } from "effect/persistence"
import { patienceMillis } from "./persistence.ts"
import { isReply } from "./redisPersistence.ts"

const silence = new Redis.RedisError({ cause: new Cause.TimeoutError("Redis did not answer in time") })

/** A connection that has not answered by then is broken. */
export const answered = <A, R>(effect: Effect.Effect<A, Redis.RedisError, R>): Effect.Effect<A, Redis.RedisError, R> =>
  Effect.timeoutOrElse(effect, { duration: patienceMillis, orElse: () => Effect.fail(silence) })

export type Send = Redis.Redis["Service"]["send"]

interface Line {
  readonly scope: Scope.Closeable
  readonly connection: Deferred.Deferred<Redis.Connection, Redis.RedisError>
}

/** Connects when it is first used; ends with the scope. */
export const make = Effect.fnUntraced(function*(redis: Redis.Redis["Service"]) {
  const scope = yield* Effect.scope
  let line: Line | undefined

  const drop = (gone: Line) =>
    Effect.suspend(() => {
      if (line === gone) line = undefined
      return Scope.close(gone.scope, Exit.void)
    })

  const connect = (to: Line) =>
    answered(Scope.provide(redis.reserve, to.scope)).pipe(
      Effect.tapError(() => drop(to)),
      Deferred.into(to.connection),
      Effect.forkIn(scope)
    )

  const obtain = Effect.uninterruptibleMask((restore) => {
    const waitFor = (to: Line) =>
      Effect.map(restore(Deferred.await(to.connection)), (connection) => ({ to, connection }))
    if (line !== undefined) return waitFor(line)
    const fresh: Line = { scope: Scope.forkUnsafe(scope), connection: Deferred.makeUnsafe() }
    line = fresh
    return Effect.andThen(connect(fresh), waitFor(fresh))
  })

  const send: Send = <A>(command: string, ...args: ReadonlyArray<string>) =>
    Effect.flatMap(obtain, ({ connection, to }) =>
      Effect.tapError(
        answered(connection.send<A>(command, ...args)),
        (error) => isReply(error) ? Effect.void : drop(to)
      ))
  return send
})
