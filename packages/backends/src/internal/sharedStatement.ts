/**
 * Group commit and group read: callers that meet share a statement. What is asked while statements of its kind are under
 * way goes into the next one; a caller that meets no other asks by itself, at once.
 */
import { Deferred, Effect, Exit, Option, Queue, type Scope } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { answered, isRefusal } from "./sqlPersistence.ts"

/** Shared statements of a kind that are under way at once: where one waits for a lock or a dead line, others go on. */
const lanes = 2
/** Callers that share a statement, unless a kind says less. */
const shares = 64
/** Callers that wait for a statement; more wait in their own fibers. */
const waiting = 1_024
/** Characters of an item that is not shared: a statement is not larger than as many of them as may share it. */
const large = 16 * 1_024

interface Entry<A, B> {
  readonly item: A
  readonly done: Deferred.Deferred<B, SqlError.SqlError>
  withdrawn: boolean
}

/** One statement for all items. Returns what tells the answer to each of them. */
export type Ask<A, B> = (
  items: ReadonlyArray<A>
) => Effect.Effect<(item: A, index: number) => B, SqlError.SqlError>

interface Options<A, B> {
  readonly ask: Ask<A, B>
  /** About the characters that an item adds to the statement, where there may be many. */
  readonly size?: (item: A) => number
  readonly shares?: number
}

type Answers<A, B> = Exit.Exit<(item: A, index: number) => B, SqlError.SqlError>

/** Asks for one item, with others or alone. */
export type SharedStatement<A, B> = (item: A) => Effect.Effect<B, SqlError.SqlError>

/**
 * Where the database refuses what several asked, each of them asks alone: nobody fails for another's item. A caller that
 * is interrupted takes nothing from the others. A statement in a transaction of the caller's own is the caller's alone.
 */
export const make = Effect.fnUntraced(function*<A, B>(
  sql: SqlClient.SqlClient,
  { ask, shares: most = shares, size = () => 0 }: Options<A, B>
): Effect.fn.Return<SharedStatement<A, B>, never, Scope.Scope> {
  const queue = yield* Queue.bounded<Entry<A, B>>(waiting)
  let underWay = 0
  /** Whether the last statement was for several: then the next callers are likely to meet, too. */
  let crowded = false

  const ended = Effect.sync(() => {
    underWay--
  })
  const counted = <Answer>(statement: Effect.Effect<Answer, SqlError.SqlError>) =>
    Effect.suspend(() => {
      underWay++
      return Effect.ensuring(statement, ended)
    })

  const askAlone = (item: A) => Effect.map(ask([item]), (answerTo) => answerTo(item, 0))

  const settle = (entries: ReadonlyArray<Entry<A, B>>, exit: Answers<A, B>) => {
    const apart = entries.length > 1 && Exit.isFailure(exit) && isRefusal(exit.cause)
    for (const [i, { done, item }] of entries.entries()) {
      // What a deferred is done with runs in the fiber that waits for it.
      Deferred.doneUnsafe(done, apart ? askAlone(item) : Effect.map(exit, (answerTo) => answerTo(item, i)))
    }
  }

  const serve = Effect.gen(function*() {
    const entries = (yield* Queue.takeBetween(queue, 1, most)).filter(({ withdrawn }) => !withdrawn)
    crowded = entries.length > 1
    if (entries.length === 0) return
    yield* Effect.suspend(() => ask(entries.map(({ item }) => item))).pipe(
      answered,
      counted,
      Effect.onExit((exit) => Effect.sync(() => settle(entries, exit))),
      Effect.exit
    )
  })
  for (let i = 0; i < lanes; i++) yield* Effect.forkScoped(Effect.forever(serve))

  const askTogether = (item: A) =>
    Effect.suspend(() => {
      if (underWay === 0 && !crowded && Queue.sizeUnsafe(queue) === 0) return counted(askAlone(item))
      const entry: Entry<A, B> = { item, done: Deferred.makeUnsafe(), withdrawn: false }
      const withdrawn = Effect.sync(() => {
        entry.withdrawn = true
      })
      return Effect.onInterrupt(Effect.andThen(Queue.offer(queue, entry), Deferred.await(entry.done)), () => withdrawn)
    })

  return (item) =>
    Effect.flatMap(
      Effect.serviceOption(sql.transactionService),
      (own) => Option.isSome(own) || size(item) > large ? askAlone(item) : askTogether(item)
    )
})
