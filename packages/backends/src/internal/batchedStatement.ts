/**
 * Group commit and group read: concurrent calls share a statement. Calls that come while statements of their kind are
 * running are batched into the next statement. A call that has no concurrent calls sends its own statement at once.
 */
import { Deferred, Effect, Exit, Option, Queue, type Scope } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { answered, isRefusal } from "./sqlRetry.ts"

/** Batches of a kind that run concurrently: while one waits for a lock or a dead connection, the other goes on. */
const lanes = 2
/** The most calls in one statement, unless a kind has a smaller limit. */
const batchSize = 64
/** The most calls in the queue; further calls wait in their own fibers. */
const queued = 1_024
/** An item of more characters is not batched. This and the size of a batch limit the size of a statement. */
const large = 16 * 1_024

interface Entry<A, B> {
  readonly item: A
  readonly done: Deferred.Deferred<B, SqlError.SqlError>
  withdrawn: boolean
}

/** Runs one statement for all items. Returns the function that finds the answer to each item. */
export type Run<A, B> = (
  items: ReadonlyArray<A>
) => Effect.Effect<(item: A, index: number) => B, SqlError.SqlError>

interface Options<A, B> {
  readonly run: Run<A, B>
  /** About how many characters an item adds to the statement. Left out where every item is small. */
  readonly size?: (item: A) => number
  readonly batchSize?: number
}

type Answers<A, B> = Exit.Exit<(item: A, index: number) => B, SqlError.SqlError>

/** Runs the statement for one item, in a batch or alone. */
export type BatchedStatement<A, B> = (item: A) => Effect.Effect<B, SqlError.SqlError>

/**
 * When the database refuses a batch, each item runs alone: no call fails because of another call's item. The interruption
 * of one call does not affect the others. A call inside a transaction of the caller is not batched.
 */
export const make = Effect.fnUntraced(function*<A, B>(
  sql: SqlClient.SqlClient,
  { batchSize: most = batchSize, run, size = () => 0 }: Options<A, B>
): Effect.fn.Return<BatchedStatement<A, B>, never, Scope.Scope> {
  const queue = yield* Queue.bounded<Entry<A, B>>(queued)
  let running = 0
  /** Whether the last batch had several items: then the next call is likely to have concurrent calls, too. */
  let crowded = false

  const ended = Effect.sync(() => {
    running--
  })
  const counted = <Answer>(statement: Effect.Effect<Answer, SqlError.SqlError>) =>
    Effect.suspend(() => {
      running++
      return Effect.ensuring(statement, ended)
    })

  const runAlone = (item: A) => Effect.map(run([item]), (answerTo) => answerTo(item, 0))

  const settle = (entries: ReadonlyArray<Entry<A, B>>, exit: Answers<A, B>) => {
    const refused = entries.length > 1 && Exit.isFailure(exit) && isRefusal(exit.cause)
    for (const [i, { done, item }] of entries.entries()) {
      // The effect that completes a Deferred runs in the fiber that waits for it.
      Deferred.doneUnsafe(done, refused ? runAlone(item) : Effect.map(exit, (answerTo) => answerTo(item, i)))
    }
  }

  const serve = Effect.gen(function*() {
    const entries = (yield* Queue.takeBetween(queue, 1, most)).filter(({ withdrawn }) => !withdrawn)
    crowded = entries.length > 1
    if (entries.length === 0) return
    yield* Effect.suspend(() => run(entries.map(({ item }) => item))).pipe(
      answered,
      counted,
      Effect.onExit((exit) => Effect.sync(() => settle(entries, exit))),
      Effect.exit
    )
  })
  for (let i = 0; i < lanes; i++) yield* Effect.forkScoped(Effect.forever(serve))

  const runBatched = (item: A) =>
    Effect.suspend(() => {
      if (running === 0 && !crowded && Queue.sizeUnsafe(queue) === 0) return counted(runAlone(item))
      const entry: Entry<A, B> = { item, done: Deferred.makeUnsafe(), withdrawn: false }
      const withdrawn = Effect.sync(() => {
        entry.withdrawn = true
      })
      return Effect.onInterrupt(Effect.andThen(Queue.offer(queue, entry), Deferred.await(entry.done)), () => withdrawn)
    })

  return (item) =>
    Effect.flatMap(
      Effect.serviceOption(sql.transactionService),
      (own) => Option.isSome(own) || size(item) > large ? runAlone(item) : runBatched(item)
    )
})
