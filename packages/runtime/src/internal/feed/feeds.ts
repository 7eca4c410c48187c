/** The feeds of the users that have readers in this process. */
import type { FeedUpdate } from "@perennial/domain/Feed"
import type { UserId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import { Duration, Effect, Latch, Option, Random, RcMap, Stream } from "effect"
import { type Position, UserFeed } from "./userFeed.ts"

/** How often a feed reads its tasks without a hint, and its webhooks. */
const interval = Duration.seconds(15)
/** How long a new feed waits for its webhooks before it reads its tasks. */
const patience = Duration.seconds(5)
/** The shortest time between two reads of a feed. */
const spacing = Duration.millis(100)

/** Whether the record of a task shows more than a newer seq after this event. */
export const isShown = ({ event }: StoredEvent): boolean => {
  const { type } = event
  return type === "started" || type === "resumed" || type === "tool_approval" || type === "tool_result" ||
    type === "title" || isTerminal(event)
}

export const make = Effect.fnUntraced(function*(
  backend: TaskBackend["Service"],
  webhooks: Option.Option<WebhookStore["Service"]>
) {
  const open = new Map<UserId, UserFeed>()
  /** The latches of readers that wait for changes. At most one for each open stream. */
  const waiting = new Map<UserId, Set<Latch.Latch>>()

  const pause = Effect.map(Random.nextBetween(0.8, 1.2), (part) => Duration.times(interval, part))

  const readWebhooks = (feed: UserFeed, userId: UserId) =>
    Option.match(webhooks, {
      onNone: () => Effect.void,
      onSome: (store) =>
        store.list(userId).pipe(
          Effect.timeout(patience),
          Effect.map((all) => feed.setWebhooks(all)),
          Effect.catchCause((cause) =>
            Effect.logWarning("The webhooks of a feed could not be read; they are read again.", cause)
          )
        )
    })

  const lookup = Effect.fnUntraced(function*(userId: UserId) {
    const feed = new UserFeed(backend, userId)
    yield* Effect.acquireRelease(
      Effect.sync(() => open.set(userId, feed)),
      () => Effect.sync(() => open.get(userId) === feed && open.delete(userId))
    )
    // Before the first tasks: the snapshot has them. Webhooks have no hints.
    yield* readWebhooks(feed, userId)
    yield* Effect.flatMap(pause, Effect.sleep).pipe(
      Effect.andThen(readWebhooks(feed, userId)),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Effect.gen(function*() {
      yield* Effect.timeoutOption(feed.dirty.await, yield* pause)
      // Before the read: a change during it is read once more.
      feed.dirty.closeUnsafe()
      yield* Effect.catchCause(feed.refresh, (cause) =>
        Effect.andThen(
          Effect.logWarning("The tasks of a feed could not be read; they are read again.", cause),
          feed.dirty.open
        ))
      yield* Effect.sleep(spacing)
    }).pipe(Effect.forever, Effect.forkScoped)
    return feed
  })
  const feeds = yield* RcMap.make({ lookup })

  const changedUnsafe = (userId: UserId): void => {
    open.get(userId)?.dirty.openUnsafe()
    waiting.get(userId)?.forEach((latch) => latch.openUnsafe())
  }

  /** A latch that opens whenever tasks of the user may have changed, until the scope closes. */
  const changes = (userId: UserId) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe(false)
        const latches = waiting.get(userId) ?? new Set()
        waiting.set(userId, latches.add(latch))
        return latch
      }),
      (latch) =>
        Effect.sync(() => {
          const latches = waiting.get(userId)
          latches?.delete(latch)
          if (latches?.size === 0) waiting.delete(userId)
        })
    )

  return {
    changedUnsafe,
    changed: (userId: UserId) => Effect.sync(() => changedUnsafe(userId)),
    changes,
    recheckAll: Effect.sync(() => {
      for (const userId of new Set([...open.keys(), ...waiting.keys()])) changedUnsafe(userId)
    }),
    read: (userId: UserId, after: number | undefined): Stream.Stream<FeedUpdate, TaskBackendError> =>
      Stream.unwrap(Effect.map(RcMap.get(feeds, userId), (feed) => {
        const position: Position = { version: undefined, after }
        return Stream.fromEffectRepeat(feed.pull(position))
      }))
  }
})
