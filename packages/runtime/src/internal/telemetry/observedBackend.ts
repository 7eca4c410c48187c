/**
 * A `TaskBackend` that measures another one, stores the trace of a request with its task, and writes the spans of a task
 * that belong to no fiber: its wait in the queue, and the whole task.
 */
import { isTerminal } from "@perennial/domain/Task"
import type { Claim, NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Clock, type Context, Effect, Exit, type Fiber, Option } from "effect"
import { failed, taskAttributes } from "./attributes.ts"
import type { OwnedTasks } from "./ownedTasks.ts"
import { tracerOf } from "./spans.ts"
import { silent } from "./storeSpans.ts"
import * as Metrics from "./taskMetrics.ts"
import { beginSpan, endSpan, spanIdOf, taskSpanId, toTraceparent } from "./taskSpans.ts"

type Backend = TaskBackend["Service"]

/** Calls `observe` with the seconds that an effect took, if it succeeds. */
const timed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  observe: (value: A, seconds: number, fiber: Fiber.Fiber<unknown, unknown>) => void
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const from = clock.monotonicTimeNanosUnsafe()
    return Effect.map(self, (value) => {
      observe(value, Number(clock.monotonicTimeNanosUnsafe() - from) / 1e9, fiber)
      return value
    })
  })

const observed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  observe: (value: A, fiber: Fiber.Fiber<unknown, unknown>) => void
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    Effect.map(self, (value) => {
      observe(value, fiber)
      return value
    })
  )

/** The task with the trace of the fiber that starts it. */
const withTrace = (task: NewTask, fiber: Fiber.Fiber<unknown, unknown>): NewTask => {
  const span = tracerOf(fiber) === undefined ? undefined : fiber.cache.span
  const traceparent = span === undefined ? undefined : toTraceparent(span)
  return traceparent === undefined ? task : { ...task, spec: { ...task.spec, traceparent } }
}

const attemptKind = ({ attempt, failures }: Claim): string => {
  if (attempt === 1) return "first"
  return failures > 0 ? "owner_died" : "handed_over"
}

const countEnd = (context: Context.Context<never>, agentId: string, status: string, count = 1): void =>
  Metrics.update(context, Metrics.ended, count, { "gen_ai.agent.id": agentId, "perennial.task.status": status })

/** `tasks` are the tasks that this process owns; this backend keeps them up to date. */
export const observedBackend = (
  backend: Backend,
  tasks: OwnedTasks,
  options: { readonly storage: boolean }
): Backend => {
  const call = <A, E extends { readonly _tag: string }, R>(operation: string, self: Effect.Effect<A, E, R>) =>
    Effect.tapError(options.storage ? self : silent(self), (error) =>
      error._tag === "TaskBackendError"
        ? Effect.contextWith((context: Context.Context<never>) => {
          Metrics.update(context, Metrics.storeErrors, 1, { "db.operation.name": operation })
          return Effect.void
        })
        : Effect.void)

  const lost = (context: Context.Context<never>, id: Claim["taskId"]) => {
    if (tasks.get(id) === undefined) return
    Metrics.update(context, Metrics.claimsLost, 1)
    tasks.remove(context, id)
  }

  const begun = (claim: Claim, fiber: Fiber.Fiber<unknown, unknown>): void => {
    const { context } = fiber
    const { trace } = tasks.add(context, claim)
    const agent = { "gen_ai.agent.id": claim.agentId }
    Metrics.update(context, Metrics.attempts, 1, { ...agent, "perennial.attempt.kind": attemptKind(claim) })
    if (claim.attempt > 1) return
    Metrics.update(context, Metrics.queueWait, (claim.now - claim.createdAt) / 1_000, agent)
    const tracer = tracerOf(fiber)
    if (tracer === undefined || !trace.task.sampled) return
    const span = beginSpan(tracer, {
      name: "task.queue",
      spanId: spanIdOf(claim.taskId, "queue"),
      trace,
      start: claim.createdAt,
      attributes: {}
    })
    endSpan(span, claim.now, Exit.void)
  }

  const ended = (claim: Claim, { at, event }: StoredEvent, fiber: Fiber.Fiber<unknown, unknown>): void => {
    const { context } = fiber
    const status = event.type === "done" ? "completed" : event.type
    const millis = at - claim.createdAt
    countEnd(context, claim.agentId, status)
    Metrics.update(context, Metrics.duration, millis / 1_000, {
      "gen_ai.agent.id": claim.agentId,
      "perennial.task.status": status
    })
    const trace = tasks.get(claim.taskId)?.trace
    tasks.remove(context, claim.taskId)
    const tracer = tracerOf(fiber)
    if (tracer === undefined || trace?.task.sampled !== true) return
    const usage = event.type === "done" ? event.usage : undefined
    const span = beginSpan(tracer, {
      name: `task ${claim.agentId}`,
      spanId: taskSpanId(claim.taskId),
      trace,
      start: claim.createdAt,
      kind: "consumer",
      attributes: {
        ...taskAttributes(claim),
        "perennial.task.status": status,
        "error.type": event.type === "error" ? event.error : undefined,
        "gen_ai.usage.input_tokens": usage && usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens,
        "gen_ai.usage.output_tokens": usage?.outputTokens
      }
    })
    endSpan(span, at, event.type === "error" ? failed(event.error) : Exit.void)
  }

  return {
    commitWindow: backend.commitWindow,
    wakes: backend.wakes,
    create: (task, how) =>
      Effect.withFiber((fiber) =>
        observed(call("create", backend.create(withTrace(task, fiber), how)), ({ cancelled, created }, { context }) => {
          if (created) Metrics.update(context, Metrics.accepted, 1, { "gen_ai.agent.id": task.agentId })
          if (cancelled.length > 0) countEnd(context, task.agentId, "cancelled", cancelled.length)
        })
      ),
    get: (id, options) => call("get", backend.get(id, options)),
    list: (options) => call("list", backend.list(options)),
    nextTask: (options) => call("nextTask", backend.nextTask(options)),
    counts: (options) => call("counts", backend.counts(options)),
    records: (options) => call("records", backend.records(options)),
    countRecords: (options) => call("countRecords", backend.countRecords(options)),
    throughput: (options) => call("throughput", backend.throughput(options)),
    runners: (options) => call("runners", backend.runners(options)),
    head: (id) => call("head", backend.head(id)),
    claim: (id, options) =>
      observed(call("claim", backend.claim(id, options)), (claim, fiber) => {
        if (Option.isSome(claim)) begun(claim.value, fiber)
      }),
    append: (batch) =>
      timed(call("append", backend.append(batch)), (results, seconds, { context }) => {
        let count = 0
        for (const [index, { claim, events }] of batch.entries()) {
          if (results[index]?.ok === true) {
            count += events.length
            tasks.observe(context, claim.taskId, events)
          } else lost(context, claim.taskId)
        }
        Metrics.update(context, Metrics.commitDuration, seconds)
        Metrics.update(context, Metrics.commitEvents, count)
        Metrics.update(context, Metrics.commitTasks, batch.length)
      }),
    finish: (fence, events) =>
      Effect.tapError(
        observed(call("finish", backend.finish(fence, events)), (_, fiber) => {
          const claim = tasks.get(fence.taskId)?.claim
          const last = events[events.length - 1]
          if (claim !== undefined && last !== undefined) ended(claim, last, fiber)
        }),
        (error) =>
          error._tag === "LeaseLost"
            ? Effect.contextWith((context: Context.Context<never>) => Effect.sync(() => lost(context, fence.taskId)))
            : Effect.void
      ),
    release: (fence, options) =>
      observed(
        call("release", backend.release(fence, options)),
        (_, { context }) => tasks.remove(context, fence.taskId)
      ),
    events: (id, options) => call("events", backend.events(id, options)),
    lastSeqs: (ids) => call("lastSeqs", backend.lastSeqs(ids)),
    owners: (ids) => call("owners", backend.owners(ids)),
    heartbeat: (runnerId, ttl, about) =>
      Effect.suspend(() => {
        const before = tasks.all
        return timed(call("heartbeat", backend.heartbeat(runnerId, ttl, about)), ({ owned }, seconds, { context }) => {
          Metrics.update(context, Metrics.leaseDuration, seconds)
          tasks.keep(context, before, owned)
        })
      }),
    unowned: (options) =>
      observed(call("unowned", backend.unowned(options)), (heads, { context }) => {
        const interrupted = heads.filter(({ token }) => token > 0).length
        Metrics.update(context, Metrics.waiting, interrupted, { "perennial.task.state": "interrupted" })
        Metrics.update(context, Metrics.waiting, heads.length - interrupted, { "perennial.task.state": "new" })
      }),
    putIntent: (id, intent, options) =>
      observed(call("putIntent", backend.putIntent(id, intent, options)), ({ task, written }, { context }) => {
        if (written && isTerminal(task.status)) countEnd(context, task.agentId, task.status)
      }),
    intents: (id) => call("intents", backend.intents(id)),
    ended: (options) => call("ended", backend.ended(options)),
    prune: (options) => call("prune", backend.prune(options)),
    deleteConversation: (options) => call("deleteConversation", backend.deleteConversation(options)),
    forgetUser: (userId) => call("forgetUser", backend.forgetUser(userId))
  }
}
