/**
 * A cache of log pages for readers. Full aligned blocks (events 1-256, 257-512, ...) never change. The cache is bounded in
 * bytes, and drops the least recently used blocks. Concurrent reads of the same page are made once. A thousand readers of one
 * task therefore cost one read and one decode.
 */
import { size } from "@perennial/domain/EventPayload"
import type { TaskId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Deferred, Effect, type Effect as Effects } from "effect"

export type Page = Effects.Success<ReturnType<TaskBackend["Service"]["events"]>>
type PageError = Effects.Error<ReturnType<TaskBackend["Service"]["events"]>>

/** The number of events of a block. No page has more. */
const blockEvents = 256
/** The largest size of a page, except for a single larger event. */
const pageBytes = 1024 * 1024

const bytesOf = (events: ReadonlyArray<StoredEvent>): number => {
  let bytes = 0
  for (const { event } of events) bytes += size(event)
  return bytes
}

interface Block {
  readonly page: Page
  readonly bytes: number
}

export class LogCache {
  readonly #backend: TaskBackend["Service"]
  readonly #maxBytes: number
  /** Insertion order is the order of use. */
  readonly #blocks = new Map<string, Block>()
  #bytes = 0
  readonly #loading = new Map<string, Deferred.Deferred<Page, PageError>>()

  constructor(backend: TaskBackend["Service"], maxBytes: number) {
    this.#backend = backend
    this.#maxBytes = maxBytes
  }

  /** The log after a cursor: at least one event, unless the log ends there. */
  after(taskId: TaskId, cursor: number): Effect.Effect<Page, PageError> {
    return Effect.suspend(() => {
      const start = cursor - cursor % blockEvents
      const key = `${taskId}/${start}`
      const block = this.#blocks.get(key)
      if (block !== undefined) {
        this.#blocks.delete(key)
        this.#blocks.set(key, block)
        return Effect.succeed(cut(block.page, cursor))
      }
      return Effect.flatMap(this.#load(taskId, start), (page) => {
        const last = page.events[page.events.length - 1]?.seq ?? start
        // A page that its size has bounded may end before the cursor. Then another page is read from the cursor.
        return last > cursor || last >= page.lastSeq
          ? Effect.succeed(cut(page, cursor))
          : this.#load(taskId, cursor)
      })
    })
  }

  #load(taskId: TaskId, after: number): Effect.Effect<Page, PageError> {
    const key = `${taskId}/${after}`
    // One uninterruptible step: an entry that is never completed would block every later reader.
    return Effect.uninterruptibleMask((restore) => {
      const loading = this.#loading.get(key)
      if (loading !== undefined) return restore(Deferred.await(loading))
      const deferred = Deferred.makeUnsafe<Page, PageError>()
      this.#loading.set(key, deferred)
      return this.#backend.events(taskId, { after, limit: blockEvents, maxBytes: pageBytes }).pipe(
        Effect.tap((page) => Effect.sync(() => this.#keep(key, after, page))),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            this.#loading.delete(key)
            Deferred.doneUnsafe(deferred, exit)
          })
        )
      )
    })
  }

  #keep(key: string, after: number, page: Page): void {
    if (after % blockEvents !== 0 || page.events.length < blockEvents) return
    const bytes = bytesOf(page.events)
    this.#blocks.set(key, { page, bytes })
    this.#bytes += bytes
    for (const [oldest, block] of this.#blocks) {
      if (this.#bytes <= this.#maxBytes) break
      this.#blocks.delete(oldest)
      this.#bytes -= block.bytes
    }
  }
}

/** Returns the same array if nothing is cut, so that its encoded frames can be found by identity. */
const cut = (page: Page, cursor: number): Page => {
  const first = page.events[0]
  return first === undefined || first.seq > cursor
    ? page
    : { ...page, events: page.events.slice(cursor + 1 - first.seq) }
}
