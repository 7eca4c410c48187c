/**
 * Keeps tasks in the memory of this process: for tests, first steps and measurements.
 *
 * It passes the same contract as the durable backends, but for one thing: what it holds ends with the process. Every
 * method is one synchronous step, so nothing can come in between. Time is `Clock`'s: a test moves leases with
 * `TestClock`. Events are kept and returned as the objects that were given.
 *
 * @since 0.1.0
 */
import { Clock, Duration, Effect, Layer, Option, Stream } from "effect"
import type { ConversationId, RunnerId, TaskId, UserId } from "./Ids.ts"
import {
  added,
  type ConversationQueue,
  forget,
  intentValue,
  isHead,
  makeQueue,
  makeRow,
  type Row,
  toClaim,
  toHead,
  toTask
} from "./internal/memoryTask.ts"
import { isTerminal as isEnded } from "./Task.ts"
import {
  cancelKey,
  cancelReason,
  type Fence,
  type Head,
  type Intent,
  interruptReason,
  isProgress,
  type NewTask,
  TaskBackend
} from "./TaskBackend.ts"
import {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound
} from "./TaskError.ts"
import { ack, isTerminal, size, type StoredEvent, type Terminal, terminalStatus } from "./TaskEvent.ts"

const aliveMillis = 60_000

const newestFirst = (a: Row, b: Row) => a.task.id < b.task.id ? 1 : -1
const oldestFirst = (a: Row, b: Row) => a.createdAt - b.createdAt || (a.task.id < b.task.id ? -1 : 1)

type Service = TaskBackend["Service"]

/** Runs one step at the current time, in milliseconds. */
const step = <A, E>(body: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Clock.clockWith((clock) => body(clock.currentTimeMillisUnsafe()))

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service> = Effect.sync(() => {
  const rows = new Map<TaskId, Row>()
  const queues = new Map<ConversationId, ConversationQueue>()
  const byKey = new Map<string, Row>()
  const leases = new Map<RunnerId, number>()
  const owned = new Map<RunnerId, Set<Row>>()
  /** Heads without an owner, in no particular order. */
  const waiting = new Set<Row>()
  /** Ended tasks with a log, in the order they ended. */
  const ended = new Set<Row>()

  const keyOf = (userId: UserId, key: string) => JSON.stringify([userId, key])
  const isLive = (runnerId: RunnerId, now: number) => (leases.get(runnerId) ?? 0) > now
  const isUnowned = (row: Row, now: number) => isHead(row) && (row.runnerId === undefined || !isLive(row.runnerId, now))

  const find = (id: TaskId, userId: UserId | undefined): Row | undefined => {
    const row = rows.get(id)
    return userId === undefined || row?.task.userId === userId ? row : undefined
  }

  const disown = (row: Row) => {
    if (row.runnerId === undefined) return
    owned.get(row.runnerId)?.delete(row)
    row.runnerId = undefined
  }

  /** The row whose owner may write, or undefined (P9). */
  const fenced = ({ taskId, token }: Fence): Row | undefined => {
    const row = rows.get(taskId)
    return row !== undefined && row.runnerId !== undefined && row.token === token ? row : undefined
  }

  const write = (row: Row, events: ReadonlyArray<StoredEvent>, now: number) => {
    for (const stored of events) {
      if (row.log !== undefined) row.log = added(row.log, stored)
      if (isProgress(stored)) row.failures = 0
    }
    row.lastSeq += events.length
    row.updatedAt = now
  }

  /** Ends a task and makes the next one of its conversation the head. */
  const end = (row: Row, terminal: Terminal, now: number): Option.Option<Head> => {
    const wasHead = isHead(row)
    disown(row)
    waiting.delete(row)
    row.status = terminalStatus(terminal)
    if (terminal.type === "error") row.error = terminal.detail
    row.finishedAt = now
    ended.add(row)
    row.queue.active = row.queue.active.filter((other) => other !== row)
    const next = row.queue.active[0]
    if (!wasHead || next === undefined) return Option.none()
    next.updatedAt = now
    waiting.add(next)
    return Option.some(toHead(next))
  }

  /** Ends a task that was never claimed: nobody else writes to its log. */
  const endUnbegun = (row: Row, reason: string | undefined, now: number): Option.Option<Head> => {
    const event: Terminal = {
      type: "cancelled",
      taskId: row.task.id,
      conversationId: row.task.conversationId,
      ...(reason === undefined ? undefined : { reason })
    }
    write(row, [{ seq: row.lastSeq + 1, at: now, event }], now)
    return end(row, event, now)
  }

  const record = (row: Row, intent: Intent, now: number) => {
    row.intents = [...row.intents, intent]
    row.updatedAt = now
  }

  /** The task that a repeated `create` means, or why it cannot be one. */
  const existing = (task: NewTask): Row | IdempotencyConflict | TaskBackendError | undefined => {
    const { idempotency } = task
    const keyed = idempotency === undefined ? undefined : byKey.get(keyOf(task.userId, idempotency.key))
    if (keyed !== undefined && idempotency !== undefined) {
      return keyed.task.idempotency?.requestHash === idempotency.requestHash
        ? keyed
        : new IdempotencyConflict({ idempotencyKey: idempotency.key })
    }
    const row = rows.get(task.id)
    return row === undefined || row.task.userId === task.userId
      ? row
      : new TaskBackendError({ operation: "create", cause: `the id ${task.id} is taken` })
  }

  const interrupt = (queue: ConversationQueue, now: number) => {
    const cancelled: Array<TaskId> = []
    const cancelling: Array<TaskId> = []
    // From the back, so that nothing is promoted only to be ended next.
    for (const row of queue.active.toReversed()) {
      if (row.attempt === 0) {
        endUnbegun(row, interruptReason, now)
        cancelled.unshift(row.task.id)
      } else {
        if (Option.isNone(intentValue(row, cancelKey))) {
          record(row, { key: cancelKey, value: { reason: interruptReason } }, now)
        }
        cancelling.unshift(row.task.id)
      }
    }
    return { cancelled, cancelling }
  }

  const create: Service["create"] = (task, { maxQueued, onBusy }) =>
    step((now): ReturnType<Service["create"]> => {
      const found = existing(task)
      if (found instanceof Error) return Effect.fail(found)
      if (found !== undefined) {
        const head = isUnowned(found, now) ? Option.some(toHead(found)) : Option.none()
        return Effect.succeed({ task: toTask(found), created: false, head, cancelled: [], cancelling: [] })
      }
      const { conversationId, userId } = task
      const queue = queues.get(conversationId) ?? makeQueue(userId)
      if (queue.userId !== userId) return Effect.fail(new ConversationNotFound({ conversationId }))
      const [busy] = queue.active
      if (busy !== undefined && onBusy === "reject") {
        return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: busy.task.id }))
      }
      if (busy !== undefined && onBusy === "enqueue" && queue.active.length > maxQueued) {
        return Effect.fail(new QueueFull({ conversationId, limit: maxQueued }))
      }
      const interrupted = onBusy === "interrupt" ? interrupt(queue, now) : { cancelled: [], cancelling: [] }
      const row = makeRow(task, queue, now, ack({ id: task.id, conversationId, at: now }))
      queues.set(conversationId, queue)
      rows.set(task.id, row)
      queue.rows = added(queue.rows, row)
      queue.active = added(queue.active, row)
      if (task.idempotency !== undefined) byKey.set(keyOf(userId, task.idempotency.key), row)
      if (isHead(row)) waiting.add(row)
      const head = isHead(row) ? Option.some(toHead(row)) : Option.none()
      return Effect.succeed({ task: toTask(row), created: true, head, ...interrupted })
    })

  const claim: Service["claim"] = (id, { runnerId, expectedToken }) =>
    step((now): ReturnType<Service["claim"]> => {
      const row = rows.get(id)
      if (row === undefined || !isHead(row)) return Effect.succeedNone
      if (row.runnerId === runnerId && row.token === expectedToken + 1) {
        return Effect.succeedSome(toClaim(row, runnerId))
      }
      if (row.token !== expectedToken || !isUnowned(row, now)) return Effect.succeedNone
      if (row.runnerId !== undefined) row.failures += 1
      disown(row)
      waiting.delete(row)
      let mine = owned.get(runnerId)
      if (mine === undefined) owned.set(runnerId, mine = new Set())
      mine.add(row)
      row.runnerId = runnerId
      row.token += 1
      row.attempt += 1
      row.status = "running"
      row.startedAt ??= now
      row.claimedAt = now
      row.updatedAt = now
      return Effect.succeedSome(toClaim(row, runnerId))
    })

  const append: Service["append"] = (batch) =>
    step((now) =>
      Effect.succeed(batch.map(({ claim, events }) => {
        const row = fenced(claim)
        if (row === undefined || events[0].seq !== row.lastSeq + 1) {
          return { ok: false, intents: 0 }
        }
        write(row, events, now)
        return { ok: true, intents: row.intents.length }
      }))
    )

  const finish: Service["finish"] = (claim, events) =>
    step((now): ReturnType<Service["finish"]> => {
      const row = fenced(claim)
      const last = events.at(-1)?.event
      if (last === undefined || !isTerminal(last)) return Effect.die("The last event of a task is terminal (P4)")
      if (row === undefined || events[0].seq !== row.lastSeq + 1) return Effect.fail(new LeaseLost(claim))
      write(row, events, now)
      return Effect.succeed(end(row, last, now))
    })

  const release: Service["release"] = (claim) =>
    Effect.sync(() => {
      const row = fenced(claim)
      if (row === undefined) return
      disown(row)
      waiting.add(row)
    })

  const events: Service["events"] = (id, { after, limit, maxBytes }) =>
    Effect.suspend((): ReturnType<Service["events"]> => {
      const row = rows.get(id)
      if (row === undefined) return Effect.fail(new TaskNotFound({ taskId: id }))
      const { lastSeq, log, status } = row
      if (log === undefined) return Effect.fail(new EventsExpired({ taskId: id }))
      if (after > lastSeq) return Effect.fail(new CursorAhead({ taskId: id, after, lastSeq }))
      const until = Math.min(log.length, after + limit)
      let to = after
      for (let bytes = 0; to < until; to++) {
        const stored = log[to]
        if (stored !== undefined) bytes += size(stored.event)
        if (bytes > maxBytes && to > after) break
      }
      return Effect.succeed({ events: log.slice(after, to), lastSeq, ended: isEnded(status) })
    })

  const heartbeat: Service["heartbeat"] = (runnerId, ttl) =>
    step((now) => {
      const mine = owned.get(runnerId) ?? new Set<Row>()
      if (Duration.isZero(ttl)) {
        leases.delete(runnerId)
        if (mine.size === 0) owned.delete(runnerId)
      } else {
        leases.set(runnerId, now + Duration.toMillis(ttl))
      }
      return Effect.succeed({
        owned: globalThis.Array.from(mine, (row) => {
          if (now - row.claimedAt > aliveMillis) row.failures = 0
          return { taskId: row.task.id, token: row.token, intents: row.intents.length }
        })
      })
    })

  const unowned: Service["unowned"] = ({ agentIds, limit, staleBefore = 0 }) =>
    step((now) => {
      const found = [...waiting]
      for (const [runnerId, mine] of owned) if (!isLive(runnerId, now)) found.push(...mine)
      const concerns = (row: Row) =>
        agentIds === undefined || agentIds.includes(row.task.agentId)
        || (row.startedAt ?? row.updatedAt) < staleBefore || Option.isSome(intentValue(row, cancelKey))
      return Effect.succeed(found.filter(concerns).toSorted(oldestFirst).slice(0, limit).map(toHead))
    })

  const putIntent: Service["putIntent"] = (id, intent, options) =>
    step((now): ReturnType<Service["putIntent"]> => {
      const row = find(id, options?.userId)
      if (row === undefined) return Effect.fail(new TaskNotFound({ taskId: id }))
      const value = intentValue(row, intent.key)
      if (Option.isSome(value) || isEnded(row.status)) {
        return Effect.succeed({ written: false, value, task: toTask(row), promoted: Option.none() })
      }
      record(row, intent, now)
      const promoted = intent.key === cancelKey && row.attempt === 0
        ? endUnbegun(row, cancelReason(intent.value), now)
        : Option.none()
      return Effect.succeed({ written: true, value: Option.some(intent.value), task: toTask(row), promoted })
    })

  const list: Service["list"] = ({ before, conversationId, limit, status, userId }) =>
    Effect.sync(() => {
      const from: Iterable<Row> = conversationId === undefined ? rows.values() : queues.get(conversationId)?.rows ?? []
      const found: Array<Row> = []
      for (const row of from) {
        if (row.task.userId !== userId || (before !== undefined && row.task.id >= before)) continue
        if (status === undefined || status.includes(row.status)) found.push(row)
      }
      return found.toSorted(newestFirst).slice(0, limit).map(toTask)
    })

  const prune: Service["prune"] = ({ finishedBefore, limit }) =>
    Effect.sync(() => {
      let count = 0
      for (const row of ended) {
        if (count === limit || row.finishedAt >= finishedBefore) break
        forget(row)
        ended.delete(row)
        count++
      }
      return count
    })

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    Effect.suspend(() => {
      const queue = queues.get(conversationId)
      if (queue === undefined || queue.userId !== userId) return Effect.void
      const [head] = queue.active
      if (head !== undefined) return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: head.task.id }))
      queues.delete(conversationId)
      for (const row of queue.rows) {
        rows.delete(row.task.id)
        ended.delete(row)
        if (row.task.idempotency !== undefined) byKey.delete(keyOf(row.task.userId, row.task.idempotency.key))
      }
      return Effect.void
    })

  return {
    commitWindow: Duration.zero,
    create,
    get: (id, options) =>
      Effect.suspend(() => {
        const row = find(id, options?.userId)
        return row === undefined ? Effect.fail(new TaskNotFound({ taskId: id })) : Effect.succeed(toTask(row))
      }),
    list,
    claim,
    append,
    finish,
    release,
    events,
    lastSeqs: (ids) =>
      Effect.sync(() =>
        ids.flatMap((taskId) => {
          const row = rows.get(taskId)
          return row === undefined ? [] : [{ taskId, lastSeq: row.lastSeq }]
        })
      ),
    heartbeat,
    unowned,
    putIntent,
    intents: (id) => Effect.sync(() => rows.get(id)?.intents ?? []),
    wakes: Stream.never,
    prune,
    deleteConversation
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend> = Layer.effect(TaskBackend, make)
