import { type Canary, canary, runtime } from "./canary.ts"

const groupCommit = `${runtime}internal/log/groupCommit.ts`
const hub = `${runtime}internal/log/hub.ts`
const reader = `${runtime}internal/log/reader.ts`

/** Bugs of the event path. */
export const ofEvents: ReadonlyArray<Canary> = [
  canary(
    "events are published before their commit",
    groupCommit,
    "Effect.ensuring(commitOne(log, stored), becomeIdle)",
    "Effect.ensuring(Effect.andThen(isNonEmpty(stored) ? log.publish(stored) : Effect.void, commitOne(log, stored)), becomeIdle)"
  ),
  canary(
    "an entry that was not written is published",
    groupCommit,
    "if (!appended.ok) return Effect.succeed",
    "if (!appended.ok && !isNonEmpty(events)) return Effect.succeed"
  ),
  canary("two commits run at the same time", groupCommit, "idle.closeUnsafe()", "void idle"),
  canary(
    "the terminal event is published before its commit",
    `${runtime}internal/task/finish.ts`,
    "const promoted = yield* backend.finish(claim, last)",
    "yield* log.publish(last)\n    const promoted = yield* backend.finish(claim, last)"
  ),
  canary(
    "the numbers of a second owner begin at 1",
    `${runtime}internal/log/ownedLog.ts`,
    "this.#lastSeq = options.claim.lastSeq",
    "this.#lastSeq = 1"
  ),
  canary("a reader accepts a gap of one event", reader, "if (first > cursor + 1) {", "if (first > cursor + 2) {"),
  canary(
    "a reader skips one event of a batch",
    reader,
    "batch.slice(cursor + 1 - first)",
    "batch.slice(cursor + 2 - first)"
  ),
  canary(
    "the tail is cut one event too late",
    hub,
    "this.#tail.slice(cursor + 1 - first.seq)",
    "this.#tail.slice(cursor + 2 - first.seq)"
  ),
  canary("a lost task keeps its tail", hub, "this.#hub.dropTail()", "void this.#hub"),
  canary("a reader that stalls holds up its task", hub, "PubSub.sliding<Signal>(slots)", "PubSub.bounded<Signal>(1)"),
  canary(
    "a hub keeps everything for a reader that does not read",
    hub,
    "PubSub.sliding<Signal>(slots)",
    "PubSub.unbounded<Signal>()"
  ),
  canary(
    "the tail of a task is never cut",
    hub,
    "if (this.#tail.length <= 2 * tailEvents && this.#tailBytes <= 2 * tailBytes) return",
    "if (this.#tail.length >= 0) return"
  ),
  canary("a page has any size", `${runtime}internal/log/logCache.ts`, "maxBytes: pageBytes", "maxBytes: 2 ** 40"),
  canary("a hub counts readers that are gone", hub, "hub.readers--", "void hub"),
  canary("the hub of an ended task stays", `${runtime}TaskExecutor.ts`, "publisher.disown()", "void publisher"),
  canary(
    "a page that is not full is cached",
    `${runtime}internal/log/logCache.ts`,
    "if (after % blockEvents !== 0 || page.events.length < blockEvents) return",
    "if (after % blockEvents !== 0) return"
  ),
  canary(
    "a read of a page is remembered for ever",
    `${runtime}internal/log/logCache.ts`,
    "this.#loading.delete(key)",
    "void key"
  ),
  canary(
    "readers depend on hints alone",
    `${runtime}internal/log/tailer.ts`,
    "(hub) => logGrew(hub.taskId),\n            { discard: true }\n          )\n        }),",
    "() => Effect.void,\n            { discard: true }\n          )\n        }),"
  )
]
