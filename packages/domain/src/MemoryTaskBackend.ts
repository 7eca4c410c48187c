/**
 * Keeps tasks in the memory of this process: for tests, first steps and measurements.
 *
 * It passes the same contract as the durable backends, except that its tasks end with the process. Every method is one
 * synchronous step, so no two methods interleave. The store's clock is `Clock`: a test moves leases with `TestClock`.
 * Events are kept and returned as the objects that were given.
 *
 * @since 0.1.0
 */
import { Array, Clock, Duration, Effect, Layer, Option, Stream } from "effect"
import type { EndedTask } from "./EndedTask.ts"
import { size } from "./EventPayload.ts"
import { cancelKey, cancelReason } from "./Intent.ts"
import { make as makeLists } from "./internal/memoryLists.ts"
import {
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
import { MemoryTasks } from "./internal/memoryTasks.ts"
import { aliveMillis } from "./OwnerLoss.ts"
import { isTerminal as isEnded } from "./Task.ts"
import { type NewTask, TaskBackend } from "./TaskBackend.ts"
import {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound,
  TooManyActiveTasks
} from "./TaskError.ts"
import { ack, isTerminal } from "./TaskEvent.ts"

const inRounds = (a: Row, b: Row) => a.round - b.round || a.createdAt - b.createdAt || (a.task.id < b.task.id ? -1 : 1)

type Service = TaskBackend["Service"]

/** Runs one step at the current time, in milliseconds. */
const step = <A, E>(body: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Clock.clockWith((clock) => body(clock.currentTimeMillisUnsafe()))

const toEnded = (row: Row): EndedTask => ({
  cursor: row.endCursor,
  userId: row.task.userId,
  task: toTask(row),
  event: row.log?.at(-1),
  traceparent: row.task.spec.traceparent
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service> = Effect.sync(() => {
  const tasks = new MemoryTasks()

  /** The task that a repeated `create` means, or why it cannot be one. */
  const existing = (task: NewTask): Row | IdempotencyConflict | TaskBackendError | undefined => {
    const { idempotency } = task
    const keyed = idempotency === undefined ? undefined : tasks.findByKey(task.userId, idempotency.key)
    if (keyed !== undefined && idempotency !== undefined) {
      return keyed.task.idempotency?.requestHash === idempotency.requestHash
        ? keyed
        : new IdempotencyConflict({ idempotencyKey: idempotency.key })
    }
    const row = tasks.rows.get(task.id)
    return row === undefined || row.task.userId === task.userId
      ? row
      : new TaskBackendError({ operation: "create", cause: `the id ${task.id} is taken` })
  }

  const create: Service["create"] = (task, { maxActive, maxQueued, onBusy }) =>
    step((now): ReturnType<Service["create"]> => {
      const found = existing(task)
      if (found instanceof Error) return Effect.fail(found)
      if (found !== undefined) {
        const head = tasks.isUnowned(found, now) ? Option.some(toHead(found)) : Option.none()
        return Effect.succeed({ task: toTask(found), created: false, head, cancelled: [], cancelling: [] })
      }
      const { conversationId, userId } = task
      const queue = tasks.queues.get(conversationId) ?? makeQueue(userId)
      if (queue.userId !== userId) return Effect.fail(new ConversationNotFound({ conversationId }))
      const [busy] = queue.active
      if (busy !== undefined && onBusy === "reject") {
        return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: busy.task.id }))
      }
      if (busy !== undefined && onBusy === "enqueue" && queue.active.length > maxQueued) {
        return Effect.fail(new QueueFull({ conversationId, limit: maxQueued }))
      }
      const ending = onBusy === "interrupt" ? queue.active.filter((row) => row.attempt === 0).length : 0
      if (maxActive !== undefined && tasks.activeOf(userId) - ending >= maxActive) {
        return Effect.fail(new TooManyActiveTasks({ limit: maxActive }))
      }
      const interrupted = onBusy === "interrupt" ? tasks.interrupt(queue, now) : { cancelled: [], cancelling: [] }
      const row = makeRow(task, queue, now, ack({ id: task.id, conversationId, at: now }))
      tasks.add(row)
      const head = isHead(row) ? Option.some(toHead(row)) : Option.none()
      return Effect.succeed({ task: toTask(row), created: true, head, ...interrupted })
    })

  const claim: Service["claim"] = (id, { claimId, expectedToken, runnerId }) =>
    step((now): ReturnType<Service["claim"]> => {
      const row = tasks.rows.get(id)
      if (row === undefined || !isHead(row)) return Effect.succeedNone
      if (row.runnerId === runnerId && row.claimId === claimId && row.token === expectedToken + 1) {
        return Effect.succeedSome(toClaim(row, runnerId, now))
      }
      if (row.token !== expectedToken || !tasks.isUnowned(row, now)) return Effect.succeedNone
      if (row.runnerId !== undefined) {
        row.failures += 1
        row.lost = { reason: "crash", at: tasks.leases.get(row.runnerId)?.renewed ?? row.updatedAt }
      }
      tasks.own(row, runnerId)
      row.claimId = claimId
      row.token += 1
      row.attempt += 1
      row.status = "running"
      row.startedAt ??= now
      row.claimedAt = now
      row.updatedAt = now
      return Effect.succeedSome(toClaim(row, runnerId, now))
    })

  const append: Service["append"] = (batch) =>
    step((now) =>
      Effect.succeed(batch.map(({ claim, events, summary }) => {
        const row = tasks.fenced(claim)
        if (row === undefined || events[0].seq !== row.lastSeq + 1) {
          return { ok: false, intents: 0 }
        }
        tasks.write(row, events, now)
        if (summary !== undefined) row.summary = summary
        return { ok: true, intents: row.intents.length }
      }))
    )

  const finish: Service["finish"] = (claim, events) =>
    step((now): ReturnType<Service["finish"]> => {
      const row = tasks.fenced(claim)
      const last = events.at(-1)?.event
      if (last === undefined || !isTerminal(last)) return Effect.die("The last event of a task is terminal (P4)")
      if (row === undefined || events[0].seq !== row.lastSeq + 1) return Effect.fail(new LeaseLost(claim))
      tasks.write(row, events, now)
      return Effect.succeed(tasks.end(row, last, now))
    })

  const release: Service["release"] = (claim, { reason = "handover" } = {}) =>
    step((now) => {
      const row = tasks.fenced(claim)
      if (row === undefined) return Effect.void
      row.lost = { reason, at: now }
      tasks.disown(row)
      tasks.waiting.add(row)
      return Effect.void
    })

  const events: Service["events"] = (id, { after, limit, maxBytes }) =>
    Effect.suspend((): ReturnType<Service["events"]> => {
      const row = tasks.rows.get(id)
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

  const heartbeat: Service["heartbeat"] = (runnerId, ttl, about) =>
    step((now) => {
      const mine = tasks.owned.get(runnerId) ?? new Set<Row>()
      if (Duration.isZero(ttl)) {
        tasks.leases.delete(runnerId)
        if (mine.size === 0) tasks.owned.delete(runnerId)
      } else {
        const since = tasks.leases.get(runnerId)?.since ?? now
        tasks.leases.set(runnerId, { since, renewed: now, expires: now + Duration.toMillis(ttl), about })
      }
      return Effect.succeed({
        now,
        owned: Array.fromIterable(mine).map((row) => {
          if (now - row.claimedAt > aliveMillis) row.failures = 0
          return { taskId: row.task.id, token: row.token, intents: row.intents.length }
        })
      })
    })

  const unowned: Service["unowned"] = ({ agentIds, limit, staleFor = Duration.infinity }) =>
    step((now) => {
      const found = [...tasks.waiting]
      for (const [runnerId, mine] of tasks.owned) if (!tasks.isLive(runnerId, now)) found.push(...mine)
      const staleMillis = Duration.toMillis(staleFor)
      const isWanted = (row: Row) =>
        agentIds === undefined || agentIds.includes(row.task.agentId)
        || now - (row.startedAt ?? row.updatedAt) >= staleMillis || Option.isSome(intentValue(row, cancelKey))
      return Effect.succeed(found.filter(isWanted).toSorted(inRounds).slice(0, limit).map(toHead))
    })

  const putIntent: Service["putIntent"] = (id, intent, options) =>
    step((now): ReturnType<Service["putIntent"]> => {
      const row = tasks.find(id, options?.userId)
      if (row === undefined) return Effect.fail(new TaskNotFound({ taskId: id }))
      const value = intentValue(row, intent.key)
      if (Option.isSome(value) || isEnded(row.status)) {
        return Effect.succeed({ written: false, value, task: toTask(row), promoted: Option.none() })
      }
      tasks.record(row, intent, now)
      const promoted = intent.key === cancelKey && row.attempt === 0
        ? tasks.endUnbegun(row, cancelReason(intent.value), now)
        : Option.none()
      return Effect.succeed({ written: true, value: Option.some(intent.value), task: toTask(row), promoted })
    })

  const nextTask: Service["nextTask"] = ({ after, conversationId, userId }) =>
    Effect.suspend((): ReturnType<Service["nextTask"]> => {
      const queue = tasks.queues.get(conversationId)
      const rows = queue?.userId === userId ? queue.rows : []
      const at = after === undefined ? 0 : rows.findIndex(({ task }) => task.id === after) + 1
      if (after !== undefined && at === 0) return Effect.fail(new TaskNotFound({ taskId: after }))
      return Effect.succeed(Option.map(Option.fromUndefinedOr(rows[at]), toTask))
    })

  const ended: Service["ended"] = ({ after, limit }) =>
    Effect.sync(() => {
      const found: Array<EndedTask> = []
      for (let i = after; i < tasks.ends.length && found.length < limit; i++) {
        const row = tasks.ends[i]
        if (row !== undefined) found.push(toEnded(row))
      }
      return found
    })

  const prune: Service["prune"] = ({ finishedFor, limit }) =>
    step((now) => {
      const finishedMillis = Duration.toMillis(finishedFor)
      let count = 0
      for (const row of tasks.withLog) {
        if (count === limit || row.finishedAt === undefined || now - row.finishedAt < finishedMillis) break
        forget(row)
        tasks.withLog.delete(row)
        count++
      }
      return Effect.succeed(count)
    })

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    Effect.suspend((): ReturnType<Service["deleteConversation"]> => {
      const removed = { tasks: 0, events: 0, intents: 0 }
      const queue = tasks.queues.get(conversationId)
      if (queue === undefined || queue.userId !== userId) return Effect.succeed(removed)
      const [head] = queue.active
      if (head !== undefined) return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: head.task.id }))
      tasks.queues.delete(conversationId)
      for (const row of queue.rows) {
        tasks.remove(row)
        removed.tasks++
        removed.events += row.log?.length ?? 0
        removed.intents += row.intents.length
      }
      return Effect.succeed(removed)
    })

  return {
    commitWindow: Duration.zero,
    create,
    get: (id, options) =>
      Effect.suspend(() => {
        const row = tasks.find(id, options?.userId)
        return row === undefined ? Effect.fail(new TaskNotFound({ taskId: id })) : Effect.succeed(toTask(row))
      }),
    ...makeLists(tasks, step),
    nextTask,
    head: (id) =>
      Effect.sync(() => {
        const row = tasks.rows.get(id)
        return row !== undefined && isHead(row) ? Option.some(toHead(row)) : Option.none()
      }),
    claim,
    append,
    finish,
    release,
    events,
    lastSeqs: (ids) =>
      Effect.sync(() =>
        ids.flatMap((taskId) => {
          const row = tasks.rows.get(taskId)
          return row === undefined ? [] : [{ taskId, lastSeq: row.lastSeq }]
        })
      ),
    owners: (ids) =>
      Effect.sync(() =>
        ids.flatMap((taskId) => {
          const runnerId = tasks.rows.get(taskId)?.runnerId
          return runnerId === undefined ? [] : [{ taskId, runnerId }]
        })
      ),
    heartbeat,
    unowned,
    putIntent,
    intents: (id) => Effect.sync(() => tasks.rows.get(id)?.intents ?? []),
    wakes: Stream.never,
    ended,
    prune,
    deleteConversation,
    forgetUser: () => Effect.void
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend> = Layer.effect(TaskBackend, make)
