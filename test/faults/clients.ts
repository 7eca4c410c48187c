/**
 * Clients as the protocol asks for: starts with an idempotency key that are repeated until they are answered, readers
 * that come back with their cursor, cancels that are repeated. They ask any process, dead ones too.
 */
import type { Terminal } from "@perennial/domain/TaskEvent"
import { Clock, Deferred, Duration, Effect, Fiber, type Latch, Option, Random } from "effect"
import * as Sse from "../support/sse.ts"
import { Broken } from "./deadline.ts"
import { canonical, type Reading } from "./observed.ts"
import * as Page from "./page.ts"
import * as Plan from "./plan.ts"
import { addressOf, attempt, insist, type Request, type Route, someSlot } from "./requests.ts"
import { type Run, seeded, violated } from "./run.ts"
import type { Slot } from "./world.ts"

export interface StartOptions {
  readonly conversationId?: string
  readonly onBusy?: "reject" | "enqueue"
  /** How it may end; `done` if nothing is said. */
  readonly ends?: ReadonlyArray<Terminal["type"]>
  /** The process that is asked first. */
  readonly at?: Slot | undefined
  readonly route?: Route | undefined
  readonly metadata?: { readonly [key: string]: unknown }
  /** Nothing happens to any process or the store while it lives. */
  readonly undisturbed?: boolean
}

const startOf = (plan: Plan.Plan, options: StartOptions): Request => ({
  method: "POST",
  path: "/tasks",
  route: options.route,
  headers: { "content-type": "application/json", "idempotency-key": plan.name },
  body: JSON.stringify({
    message: Plan.encode(plan),
    conversationId: options.conversationId ?? plan.name,
    onBusy: options.onBusy ?? "reject",
    metadata: options.metadata ?? {}
  })
})

/** Asks one process once for a task; the status, if there is an answer. Whoever asks has to ask for the same task again. */
export const startOnce = (at: Slot, plan: Plan.Plan, options: StartOptions = {}) =>
  Effect.map(attempt(at, startOf(plan, options)), Option.map(({ status }) => status))

/** Asks for a task until there is an answer. What is accepted is noted. */
export const tryStart = Effect.fnUntraced(function*(run: Run, plan: Plan.Plan, options: StartOptions = {}) {
  const answer = yield* insist(run, startOf(plan, options), options.at)
  const { ends = ["done"], undisturbed = false } = options
  if (answer.status === 201) run.accepted.push({ taskId: answer.body.id ?? "", ends, plan, undisturbed })
  return answer
})

/** Starts a task that must be accepted; returns its id. What has to be waited for has the deadline of the case. */
export const start = Effect.fnUntraced(function*(run: Run, plan: Plan.Plan, options?: StartOptions) {
  const { body, status } = yield* tryStart(run, plan, options)
  if (status === 201) return body.id ?? ""
  const what = `the start of ${plan.name} was answered with ${status} ${JSON.stringify(body)}`
  return yield* new Broken({ promise: "P1", what })
})

/** Cancels a task, waiting for its end; repeats that until it is told of the end. What is accepted is noted. */
export const cancel = Effect.fnUntraced(function*(run: Run, taskId: string, at?: Slot, route?: Route) {
  const request: Request = { method: "POST", path: `/tasks/${taskId}/cancel`, route }
  for (let tries = 1;; tries++) {
    const { body, status } = yield* insist(run, request, at, 12_000)
    if (tries === 1) run.cancels.push({ taskId, at: yield* Clock.currentTimeMillis })
    if (status === 202) continue
    if (status !== 200 || body.status === "queued" || body.status === "running") {
      yield* violated(run, "P7", `the cancel of task ${taskId} was answered with ${status}, status ${body.status}`)
    }
    return
  }
})

/** Reads until the end of a connection that this reader has the patience for, or cuts it at random. */
const drain = Effect.fnUntraced(function*(
  run: Run,
  connection: Sse.Connection,
  reading: Reading,
  notice: (type: string) => Effect.Effect<void>,
  isSteady = false
) {
  for (;;) {
    // Now and then a reader is slow, or loses its connection.
    const fate = isSteady ? undefined : yield* Random.nextIntBetween(0, 400)
    if (fate === 0) return
    if (fate === 1) yield* Effect.andThen(connection.stall, Effect.sleep("500 millis"))
    if (fate === 1) yield* connection.resume
    const patience = Duration.millis(isSteady ? 10_000 : yield* Random.nextIntBetween(1_000, 4_000))
    const seen = yield* Effect.option(Effect.timeout(connection.next, patience))
    if (Option.isNone(seen)) return
    const { data, id } = seen.value
    reading.seen.push({ id, data: run.intern(canonical(data)) })
    yield* notice(data.type)
  }
})

export interface Watching {
  readonly reading: Reading
  /** When the first event of a type came, in milliseconds since 1970. */
  readonly saw: (type: string) => Effect.Effect<number>
  /** From the end of each connection to the answer of the next one, in milliseconds. */
  readonly reconnects: ReadonlyArray<number>
  /** Waits until this reader has been told that there is nothing more. */
  readonly ended: Effect.Effect<void>
}

/** What a reader does with a connection, until it has lost it or had enough of it. */
type Drain = (
  connection: Sse.Connection,
  notice: (type: string) => Effect.Effect<void>,
  slot: Slot
) => Effect.Effect<void>

/** Reads until it is told that there is nothing more, one connection after the other. */
const read = Effect.fnUntraced(function*(run: Run, reading: Reading, drain: Drain, { at, route }: WatchOptions) {
  const { after, reader, taskId } = reading
  run.readings.push(reading)
  const firsts = new Map<string, Deferred.Deferred<number>>()
  const first = (type: string) => {
    const known = firsts.get(type) ?? Deferred.makeUnsafe<number>()
    firsts.set(type, known)
    return known
  }
  const notice = (type: string) => Effect.flatMap(Clock.currentTimeMillis, (at) => Deferred.succeed(first(type), at))
  const reconnects: Array<number> = []
  let lostAt: number | undefined

  const visit = Effect.fnUntraced(function*(slot: Slot) {
    const cursor = reading.seen.at(-1)?.id ?? after
    const connected = yield* Effect.option(
      Effect.timeout(
        Sse.connect(`${addressOf(slot, route)}/tasks/${taskId}/events`, { after: cursor, token: Page.token }),
        "3 seconds"
      )
    )
    if (Option.isNone(connected)) return false
    const { status } = connected.value
    reading.connections++
    if (status === 200 || status === 204) {
      if (lostAt !== undefined) reconnects.push((yield* Clock.currentTimeMillis) - lostAt)
      lostAt = undefined
    }
    if (status === 204) return reading.ended = true
    if (status === 200) {
      yield* drain(connected.value, (type) => Effect.asVoid(notice(type)), slot)
      lostAt = yield* Clock.currentTimeMillis
    }
    if (status === 200 || status >= 500 || status === 429) return false
    yield* violated(run, "P3", `reader ${reader} of task ${taskId} got ${status} for cursor ${cursor}`)
    return true
  })

  const fiber = yield* Effect.gen(function*() {
    for (let slot = at ?? (yield* someSlot(run));; slot = yield* someSlot(run)) {
      if (yield* Effect.scoped(visit(slot))) return
      yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(20, 120)))
    }
  }).pipe(seeded(run, `reader ${reader} ${taskId}`), Effect.forkScoped)

  const watching: Watching = {
    reading,
    saw: (type) => Deferred.await(first(type)),
    reconnects,
    ended: Fiber.await(fiber).pipe(Effect.asVoid)
  }
  return watching
})

export interface WatchOptions {
  readonly after?: number
  /** The process that is asked first. */
  readonly at?: Slot | undefined
  readonly route?: Route | undefined
  /** Neither slow nor cut off on purpose, and patient for 10 seconds, for what is measured with it. */
  readonly isSteady?: boolean
}

/** A reader of a task, from the first process on any, until it is told that there is nothing more. */
export const watch = (run: Run, taskId: string, reader: string, options: WatchOptions = {}) => {
  const reading: Reading = { reader, taskId, after: options.after ?? 0, seen: [], connections: 0, ended: false }
  return read(
    run,
    reading,
    (connection, notice) => drain(run, connection, reading, notice, options.isSteady),
    options
  )
}

/**
 * A reader that does not read: it connects, and again when the process it was connected to is gone, and takes nothing from its
 * socket until the latch opens. Then it reads.
 */
export const stall = Effect.fnUntraced(function*(
  run: Run,
  taskId: string,
  reader: string,
  options: { readonly at?: Slot | undefined; readonly until: Latch.Latch }
) {
  const stalled = { from: yield* Clock.currentTimeMillis, until: Infinity }
  const reading: Reading = { reader, taskId, after: 0, seen: [], connections: 0, ended: false, stalled }
  const stay: Drain = Effect.fnUntraced(function*(connection, notice, slot) {
    if (stalled.until === Infinity) {
      yield* connection.stall
      const gone = slot.process === undefined ? Effect.void : Deferred.await(slot.process.exited)
      yield* Effect.raceFirst(options.until.await, gone)
      yield* connection.resume
    }
    if (options.until.isOpen()) stalled.until = Math.min(stalled.until, yield* Clock.currentTimeMillis)
    yield* drain(run, connection, reading, notice)
  })
  return yield* read(run, reading, stay, { at: options.at })
})
