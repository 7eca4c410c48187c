/**
 * One fault run on one store: its world, and what has been seen so far.
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, type TaskId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Console, Effect, Random } from "effect"
import * as Storage from "../support/storage.ts"
import * as Coverage from "./coverage.ts"
import * as Ledger from "./ledger.ts"
import type { Accepted, Cancel, Counts, FaceReading, Kept, Observed, Reading, Violation } from "./observed.ts"
import { userId } from "./page.ts"
import type { World } from "./world.ts"

export interface Run {
  readonly world: World
  readonly seed: string
  readonly accepted: Array<Accepted>
  readonly cancels: Array<Cancel>
  readonly readings: Array<Reading>
  readonly faceReadings: Array<FaceReading>
  readonly content: { accepted: number; refused: number }
  /** What a case found itself, beside what the checker finds. */
  readonly violations: Array<Violation>
  /** What must happen in each of the cases that ran. */
  readonly least: Array<Partial<Counts>>
  /** What is reported, in this order. */
  readonly figures: Map<string, string | number>
  /** Interns what readers see: all readers of an event share one string. */
  readonly intern: (data: string) => string
}

export const make = (world: World, seed: string): Run => {
  const strings = new Map<string, string>()
  const intern = (data: string) => {
    const known = strings.get(data)
    if (known === undefined) strings.set(data, data)
    return known ?? data
  }
  return {
    world,
    seed,
    accepted: [],
    cancels: [],
    readings: [],
    faceReadings: [],
    content: { accepted: 0, refused: 0 },
    violations: [],
    least: [],
    figures: new Map(),
    intern
  }
}

/** Randomness of its own for each actor: what it does depends on the seed and its name alone. */
export const seeded = (run: Run, actor: string) => Random.withSeed(`${run.seed}/${actor}`)

export const violated = (run: Run, promise: string, what: string) =>
  Effect.sync(() => void run.violations.push({ promise, what }))

/** Notes what must have happened in the end for a case to have shown something. */
export const atLeast = (run: Run, least: Partial<Counts>) => Effect.sync(() => void run.least.push(least))

/** Notes a figure, and that it must not be over a bound. */
export const atMost = (run: Run, figure: string, value: number, bound: number, promise: string) =>
  Effect.andThen(
    Effect.sync(() => run.figures.set(figure, `${Math.round(value)} (at most ${bound})`)),
    value <= bound ? Effect.void : violated(run, promise, `${figure}: ${Math.round(value)}, at most ${bound}`)
  )

const allTasks = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const tasks: Array<Task> = []
  for (let before: TaskId | undefined;; before = tasks.at(-1)?.id) {
    const page = yield* backend.list({ userId, before, limit: 1_000 })
    tasks.push(...page)
    if (page.length < 1_000) return tasks
  }
})

const wholeLog = Effect.fnUntraced(function*(id: TaskId) {
  const backend = yield* TaskBackend
  const log: Array<StoredEvent> = []
  for (;;) {
    const { events, lastSeq } = yield* backend.events(id, { after: log.length, limit: 1_000, maxBytes: 2 ** 22 })
    log.push(...events)
    if (log.length >= lastSeq || events.length === 0) return log
  }
})

const allMessages = Effect.fnUntraced(function*(conversation: string) {
  const store = yield* ConversationStore
  const key = { id: ConversationId.make(conversation), userId }
  const messages: Array<Effect.Success<ReturnType<typeof store.messages>>[number]> = []
  for (;;) {
    const page = yield* store.messages(key, { after: messages.at(-1)?.id, limit: 1_000 })
    messages.push(...page)
    if (page.length < 1_000) return messages
  }
})

/** What the store holds, read without any server between. A log that was removed is empty. */
const readStore = Effect.gen(function*() {
  const kept = yield* Effect.forEach(
    yield* allTasks,
    (task) =>
      wholeLog(task.id).pipe(
        Effect.catchTag("EventsExpired", () => Effect.succeed([])),
        Effect.map((log): Kept => ({ task, log }))
      ),
    { concurrency: 8 }
  )
  const conversations = [...new Set(kept.map(({ task }): string => task.conversationId))]
  const messages = new Map(
    yield* Effect.forEach(
      conversations,
      (id) => Effect.map(allMessages(id), (found) => [id, found] as const),
      { concurrency: 8 }
    )
  )
  return { kept, messages }
})

/** Everything that is known at the end of a run. */
export const observe = Effect.fnUntraced(function*(run: Run): Effect.fn.Return<Observed> {
  const { accepted, cancels, content, faceReadings, readings, world } = run
  // Without the store there is no verdict.
  const { kept, messages } = yield* readStore.pipe(
    Effect.provide(Storage.layer(world.store.url)),
    Effect.timeout("1 minute"),
    Effect.orDie
  )
  return {
    accepted,
    cancels,
    readings,
    faceReadings,
    content,
    kept,
    messages,
    ledger: Ledger.read(world.ledger),
    deaths: world.deaths,
    lives: world.lives,
    outages: [...world.store.outages, ...world.store.refusals],
    absences: world.absences,
    leaseMillis: world.leaseMillis,
    capacity: world.capacity,
    growthBytes: world.growthBytes,
    restarts: world.store.outages.length,
    refusals: world.store.refusals.length,
    proxies: world.slots.map(({ proxy }) => proxy.counts),
    slow: world.store.slow,
    cuts: world.store.cuts,
    least: Coverage.sum(run.least)
  }
})

export const say = (run: Run, text: string) => Console.log(`${run.world.store.name}: ${text}`)
