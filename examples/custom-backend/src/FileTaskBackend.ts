/**
 * A complete `TaskBackend` for one process. It keeps tasks in memory and in a journal file. Every commit is durable.
 *
 * One commit is one line of the file: the new states of the tasks that change, and the new events of their logs. Leases are
 * not written: a process that holds the file knows that all earlier owners are dead.
 */
import type { ConversationId, TaskId } from "@perennial/domain/Ids"
import { cancelKey, interruptReason } from "@perennial/domain/Intent"
import { aliveMillis } from "@perennial/domain/OwnerLoss"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
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
} from "@perennial/domain/TaskError"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Clock, Duration, Effect, Layer, Option, Stream, Struct } from "effect"
import * as JournalFile from "./JournalFile.ts"
import * as TaskLists from "./TaskLists.ts"
import * as TaskRow from "./TaskRow.ts"
import type { Change, Entry } from "./TaskRow.ts"
import { keyOf, Tasks } from "./Tasks.ts"

type Service = TaskBackend["Service"]

export const make = Effect.fnUntraced(function*(file: string) {
  const db = new Tasks()
  const leases: TaskLists.Leases = new Map()
  const journal = yield* JournalFile.make(file, {
    change: TaskRow.Change,
    apply: (change) => db.apply(change),
    snapshot: () => db.snapshot()
  })

  const commit = <A, E>(
    operation: string,
    decide: (now: number) => Effect.Effect<JournalFile.Decision<Change, A>, E>
  ) =>
    Effect.mapError(
      journal.commit(decide),
      (error) => error instanceof JournalFile.JournalError ? new TaskBackendError({ operation, cause: error }) : error
    )

  const isUnowned = (entry: Entry, now: number) =>
    db.head(entry.task.conversationId) === entry &&
    (entry.state.runnerId === undefined || (leases.get(entry.state.runnerId)?.expires ?? 0) <= now)

  const decoded = <A>(operation: string, body: () => A): Effect.Effect<A, TaskBackendError> =>
    Effect.try({ try: body, catch: (cause) => new TaskBackendError({ operation, cause }) })

  const isOf = (id: TaskId) => ({ taskId }: Head) => taskId === id

  const headOf = (id: ConversationId) => Option.map(Option.fromUndefinedOr(db.head(id)), TaskRow.toHead)

  const create: Service["create"] = (task, { maxActive = Number.POSITIVE_INFINITY, maxQueued, onBusy }) =>
    commit(
      "create",
      Effect.fnUntraced(function*(now) {
        const { conversationId, id, idempotency, userId } = task
        const keyed = idempotency === undefined ? undefined : db.keys.get(keyOf(userId, idempotency.key))
        if (keyed !== undefined && idempotency !== undefined) {
          if (keyed.task.idempotency?.requestHash !== idempotency.requestHash) {
            return yield* new IdempotencyConflict({ idempotencyKey: idempotency.key })
          }
        }
        const result = (entry: Entry, created: boolean, asked: ReadonlyArray<Entry>) => ({
          task: TaskRow.toTask(entry),
          created,
          head: isUnowned(entry, now) ? Option.some(TaskRow.toHead(entry)) : Option.none(),
          cancelled: asked.filter((one) => !TaskRow.isActive(one)).map((one) => one.task.id),
          cancelling: asked.filter(TaskRow.isActive).map((one) => one.task.id)
        })
        const found = keyed ?? db.tasks.get(id)
        if (found !== undefined && found.task.userId !== userId) {
          return yield* new TaskBackendError({ operation: "create", cause: `the id ${id} is taken` })
        }
        if (found !== undefined) return { result: () => result(found, false, []) }

        const [other] = db.queues.get(conversationId) ?? []
        if (other !== undefined && other.task.userId !== userId) {
          return yield* new ConversationNotFound({ conversationId })
        }
        const active = db.active(conversationId)
        if (active[0] !== undefined && onBusy === "reject") {
          return yield* new ConversationBusy({ conversationId, activeTaskId: active[0].task.id })
        }
        if (active.length > maxQueued && onBusy === "enqueue") {
          return yield* new QueueFull({ conversationId, limit: maxQueued })
        }
        const asked = onBusy === "interrupt" ? active : []
        const ending = asked.filter((one) => one.state.attempt === 0).length
        if (db.activeOf(userId) - ending >= maxActive) return yield* new TooManyActiveTasks({ limit: maxActive })
        const change = TaskRow.merge([
          TaskRow.append({ ...TaskRow.initial(id), round: db.nextRound(userId, 0) }, [
            TaskEvent.ack({ id, conversationId, at: now })
          ], now),
          ...asked.map((one) => TaskRow.ask(one, { key: cancelKey, value: { reason: interruptReason } }, now))
        ])
        return {
          change: { ...change, accepted: { ...task, createdAt: now } },
          // The change of this commit has added the entry.
          result: () => result(db.tasks.get(id) as Entry, true, asked)
        }
      })
    )

  const claim: Service["claim"] = (id, { claimId, expectedToken, runnerId }) =>
    commit("claim", (now) =>
      Effect.sync(() => {
        const entry = db.tasks.get(id)
        if (entry === undefined) return { result: () => Option.none() }
        const { state } = entry
        const won = () => Option.some(TaskRow.toClaim(entry, runnerId, now))
        // The claim was won by an earlier try whose reply was lost.
        if (state.runnerId === runnerId && state.claimId === claimId && state.token === expectedToken + 1) {
          return { result: won }
        }
        if (state.token !== expectedToken || !isUnowned(entry, now)) return { result: () => Option.none() }
        const claimed = {
          ...state,
          status: "running" as const,
          runnerId,
          claimId,
          token: state.token + 1,
          attempt: state.attempt + 1,
          failures: state.failures + (state.runnerId === undefined ? 0 : 1),
          lost: state.runnerId === undefined
            ? state.lost
            : { reason: "crash" as const, at: leases.get(state.runnerId)?.renewed ?? state.updatedAt },
          startedAt: state.startedAt ?? now,
          claimedAt: now,
          updatedAt: now
        }
        return { change: { states: [claimed] }, result: won }
      }))

  const append: Service["append"] = (batch) =>
    commit("append", (now) =>
      Effect.sync(() => {
        const writes = batch.map(({ claim, events, summary }) => {
          const entry = db.fenced(claim)
          return entry !== undefined && events[0].seq === entry.state.lastSeq + 1
            ? { entry, events, summary }
            : undefined
        })
        const change = TaskRow.merge(
          writes.flatMap((write) =>
            write === undefined ? [] : [TaskRow.append(write.entry.state, write.events, now, write.summary)]
          )
        )
        return {
          change: change.states?.length === 0 ? undefined : change,
          result: () =>
            writes.map((write) => ({ ok: write !== undefined, intents: write?.entry.state.intents.length ?? 0 }))
        }
      }))

  const finish: Service["finish"] = (claim, events) =>
    commit("finish", (now) =>
      Effect.suspend(() => {
        const entry = db.fenced(claim)
        if (entry === undefined || events[0].seq !== entry.state.lastSeq + 1) return Effect.fail(new LeaseLost(claim))
        return Effect.succeed({
          change: TaskRow.merge([TaskRow.append(entry.state, events, now), db.promotion(entry, now)]),
          result: () => headOf(entry.task.conversationId)
        })
      }))

  const release: Service["release"] = (claim, { reason = "handover" } = {}) =>
    commit("release", (now) =>
      Effect.sync(() => {
        const state = db.fenced(claim)?.state
        return {
          change: state === undefined
            ? undefined
            : { states: [{ ...state, runnerId: undefined, lost: { reason, at: now }, updatedAt: now }] },
          result: () => undefined
        }
      }))

  const events: Service["events"] = Effect.fnUntraced(function*(id, { after, limit, maxBytes }) {
    const entry = yield* db.find(id)
    const { log, state } = entry
    if (state.pruned === true) return yield* new EventsExpired({ taskId: id })
    if (after > state.lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq: state.lastSeq })
    let bytes = 0
    const page = log.slice(after, after + limit)
    const cut = page.findIndex(({ payload }, i) => (bytes += payload.length) > maxBytes && i > 0)
    const lines = cut === -1 ? page : page.slice(0, cut)
    return {
      events: yield* decoded("events", () => lines.map((line) => TaskRow.toEvent(entry, line))),
      lastSeq: state.lastSeq,
      ended: !TaskRow.isActive({ state })
    }
  })

  const heartbeat: Service["heartbeat"] = (runnerId, ttl, about) =>
    commit("heartbeat", (now) =>
      Effect.sync(() => {
        if (Duration.isZero(ttl)) leases.delete(runnerId)
        else {
          const since = leases.get(runnerId)?.since ?? now
          leases.set(runnerId, { since, renewed: now, expires: now + Duration.toMillis(ttl), about })
        }
        const owned = [...db.tasks.values()].filter(({ state }) => state.runnerId === runnerId)
        const states = owned.flatMap(({ state }) =>
          state.failures > 0 && now - (state.claimedAt ?? now) > aliveMillis ? [{ ...state, failures: 0 }] : []
        )
        return {
          change: states.length === 0 ? undefined : { states },
          result: () => ({
            now,
            owned: owned.map(({ state }) => ({ taskId: state.id, token: state.token, intents: state.intents.length }))
          })
        }
      }))

  const putIntent: Service["putIntent"] = (id, intent, options) =>
    commit("putIntent", (now) =>
      Effect.map(db.find(id, options?.userId), (entry) => {
        const recorded = () => entry.state.intents.find(({ key }) => key === intent.key)
        const written = TaskRow.isActive(entry) && recorded() === undefined
        const wasHead = db.head(entry.task.conversationId) === entry
        const asked = TaskRow.ask(entry, intent, now)
        const promotion = TaskRow.ends(asked) ? db.promotion(entry, now) : {}
        return {
          change: written ? TaskRow.merge([asked, promotion]) : undefined,
          result: () => ({
            written,
            value: Option.map(Option.fromUndefinedOr(recorded()), ({ value }) => value),
            task: TaskRow.toTask(entry),
            promoted: written && wasHead && !TaskRow.isActive(entry) ? headOf(entry.task.conversationId) : Option.none()
          })
        }
      }))

  const nextTask: Service["nextTask"] = ({ after, conversationId, userId }) =>
    Effect.gen(function*() {
      const mine = (db.queues.get(conversationId) ?? []).filter(({ task }) => task.userId === userId)
      const at = after === undefined ? 0 : mine.findIndex(({ task }) => task.id === after) + 1
      if (after !== undefined && at === 0) return yield* new TaskNotFound({ taskId: after })
      return Option.map(Option.fromUndefinedOr(mine[at]), TaskRow.toTask)
    })

  const ended: Service["ended"] = ({ after, limit }) =>
    decoded("ended", () => {
      const place = ({ state }: Entry) => state.endCursor ?? 0
      return [...db.tasks.values()]
        .filter((entry) => place(entry) > after)
        .toSorted((a, b) => place(a) - place(b))
        .slice(0, limit)
        .map(TaskRow.toEnded)
    })

  const prune: Service["prune"] = ({ finishedFor, limit }) =>
    commit("prune", (now) =>
      Effect.sync(() => {
        const finishedBy = now - Duration.toMillis(finishedFor)
        const endedAt = ({ state }: Entry) => state.finishedAt ?? Number.POSITIVE_INFINITY
        const states = [...db.tasks.values()]
          .filter((entry) => entry.state.pruned !== true && endedAt(entry) <= finishedBy)
          .toSorted((a, b) => endedAt(a) - endedAt(b))
          .slice(0, limit)
          .map(({ state }) => Struct.assign(state, { pruned: true, intents: [] }))
        return { change: states.length === 0 ? undefined : { states }, result: () => states.length }
      }))

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    commit("deleteConversation", () =>
      Effect.suspend(() => {
        const mine = (db.queues.get(conversationId) ?? []).filter(({ task }) => task.userId === userId)
        const busy = mine.find(TaskRow.isActive)
        return busy === undefined
          ? Effect.succeed({
            change: mine.length === 0 ? undefined : { removed: mine.map(({ task }) => task.id) },
            result: () => ({
              tasks: mine.length,
              events: mine.reduce((sum, { log }) => sum + log.length, 0),
              intents: mine.reduce((sum, { state }) => sum + state.intents.length, 0)
            })
          })
          : Effect.fail(new ConversationBusy({ conversationId, activeTaskId: busy.task.id }))
      }))

  return TaskBackend.of({
    // A commit is a write to the disk: the events of 5 milliseconds share one commit.
    commitWindow: Duration.millis(5),
    create,
    get: (id, options) => Effect.map(Effect.suspend(() => db.find(id, options?.userId)), TaskRow.toTask),
    ...TaskLists.make(db, leases),
    nextTask,
    head: (id) =>
      Effect.sync(() => {
        const entry = db.tasks.get(id)
        return entry === undefined ? Option.none() : Option.filter(headOf(entry.task.conversationId), isOf(id))
      }),
    claim,
    append,
    finish,
    release,
    events,
    lastSeqs: (ids) =>
      Effect.sync(() =>
        ids.flatMap((taskId) => {
          const entry = db.tasks.get(taskId)
          return entry === undefined ? [] : [{ taskId, lastSeq: entry.state.lastSeq }]
        })
      ),
    owners: (ids) =>
      Effect.sync(() =>
        ids.flatMap((taskId) => {
          const runnerId = db.tasks.get(taskId)?.state.runnerId
          return runnerId === undefined ? [] : [{ taskId, runnerId }]
        })
      ),
    heartbeat,
    unowned: ({ agentIds, limit, staleFor = Duration.infinity }) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        [...db.queues.keys()]
          .flatMap((id) => db.head(id) ?? [])
          .filter((entry) => isUnowned(entry, now))
          .filter((entry) =>
            agentIds === undefined || agentIds.includes(entry.task.agentId) || TaskRow.mayBeEnded(entry, staleFor, now)
          )
          .toSorted(TaskRow.inRounds)
          .slice(0, limit)
          .map(TaskRow.toHead)),
    putIntent,
    intents: (id) => Effect.sync(() => db.tasks.get(id)?.state.intents ?? []),
    // Hints come from other processes, and this backend has only one process.
    wakes: Stream.never,
    ended,
    prune,
    deleteConversation,
    // The next rewrite of the file leaves out what was deleted.
    forgetUser: () => Effect.void
  })
})

export const layer = (file: string) => Layer.effect(TaskBackend, make(file))
