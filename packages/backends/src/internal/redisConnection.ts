/**
 * A connection to Redis that commands of many fibers share. A connection that failed, does not answer, or leads to a replica is
 * closed, the commands that wait for it fail, and the next command makes a new connection.
 *
 * The client's own connection does not do: the client never gives it up, and closing the client waits without a limit for
 * missing answers.
 */
import { Cause, Deferred, Effect, Exit, Scope } from "effect"
import { Redis } from "effect/persistence"
import { isReadOnly, isReply, type Send } from "./redisRetry.ts"
import { answerMillis } from "./storeRetry.ts"

const silence = new Redis.RedisError({ cause: new Cause.TimeoutError("Redis did not answer in time") })

/** Fails when a connection does not answer in time: such a connection is broken. */
export const answered = <A, R>(effect: Effect.Effect<A, Redis.RedisError, R>): Effect.Effect<A, Redis.RedisError, R> =>
  Effect.timeoutOrElse(effect, { duration: answerMillis, orElse: () => Effect.fail(silence) })

interface Line {
  readonly scope: Scope.Closeable
  readonly connection: Deferred.Deferred<Redis.Connection, Redis.RedisError>
}

/** Connects at the first command. The connection ends with the scope. */
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
        (error) => isReply(error) && !isReadOnly(error) ? Effect.void : drop(to)
      ))
  return send
})
