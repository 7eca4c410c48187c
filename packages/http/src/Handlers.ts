/**
 * The handlers of tasks, agents, tickets and health checks, over a `TaskManager`.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { size } from "@perennial/domain/EventPayload"
import { Readiness } from "@perennial/domain/Readiness"
import { isTerminal, Task } from "@perennial/domain/Task"
import { StreamLost, type TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, type Layer, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api, EventPage } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { admitted } from "./internal/admitted.ts"
import { cancelled } from "./internal/cancelled.ts"
import { idOf, paged } from "./internal/paged.ts"
import { placeLog, placeSource } from "./internal/placeWire.ts"
import { makeReadiness } from "./internal/readiness.ts"
import { makeLocation, started } from "./internal/started.ts"
import { toListOptions } from "./internal/taskQuery.ts"
import { withProblems } from "./internal/withProblems.ts"
import { CurrentPrincipal } from "./Principal.ts"
import { type RefusalLimit, type RequestLimit, type RequestProblems, Unavailable } from "./Problems.ts"
import * as Sse from "./Sse.ts"
import { Tickets } from "./Tickets.ts"
import * as Wire from "./Wire.ts"

/** A page of events ends when it reaches this size, in bytes. A single event has at most 256 KiB. */
const maxPageBytes = 1024 * 1024

const noContent = HttpServerResponse.empty({ status: 204 })
const encodePage = Schema.encodeSync(Schema.toCodecJson(EventPage))
const encodeTask = Schema.encodeSync(Schema.toCodecJson(Task))

/** The wire that a request asks for by `Accept`. An `EventSource` asks for `text/event-stream`; the typed client names no type. */
const wantsPage = (accept = ""): boolean => accept.includes("application/json") && !accept.includes("text/event-stream")
const wireFor = (accept = ""): Wire.Wire => accept.includes("text/event-stream") ? Wire.eventSource : Wire.eventLog

/** The events between the cursor and the task's `lastSeq`. All of them are stored, so reading them does not wait. */
const readPage = (events: Stream.Stream<StoredEvent, StreamLost>, task: Task, after: number, limit: number) =>
  Effect.suspend(() => {
    let bytes = 0
    return events.pipe(
      Stream.take(Math.max(0, Math.min(limit, task.lastSeq - after))),
      Stream.takeUntil(({ event }) => (bytes += size(event)) >= maxPageBytes),
      Stream.runCollect,
      Effect.map((events) =>
        HttpServerResponse.jsonUnsafe(encodePage({ events, lastSeq: task.lastSeq, ended: isTerminal(task.status) }))
      )
    )
  })

/**
 * The handlers of tasks.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layerTasks: Layer.Layer<
  HttpApiGroup.Service<"perennial", "tasks">,
  never,
  TaskManager | Sse.EventStreams | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "tasks",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    const location = yield* makeLocation
    const admit = admitted(streams)
    const cancel = cancelled(manager, { show: (task) => task, encode: encodeTask })

    /** Ends with the credential of the request. */
    const stream = (
      events: Stream.Stream<StoredEvent, StreamLost | TaskBackendError>,
      options: { readonly headers?: Readonly<Record<string, string>>; readonly wire?: Wire.Wire }
    ) =>
      Effect.gen(function*() {
        const userId = yield* CurrentUser
        const principal = yield* CurrentPrincipal
        return streams.response(events, { ...options, userId, expiresAt: principal?.expiresAt })
      })

    return handlers.handleAll({
      start: ({ headers, payload }) =>
        withProblems(
          Effect.map(manager.start({ ...payload, idempotencyKey: headers["idempotency-key"] }), started(location))
        ),
      chat: ({ headers, payload }) =>
        Effect.andThen(
          admit,
          withProblems(Effect.flatMap(
            manager.start({ ...payload, idempotencyKey: headers["idempotency-key"] }),
            (task) =>
              manager.events(task.id).pipe(
                // The task has started. The response must have its id, so that the client can resume.
                Effect.catch((error) =>
                  Effect.succeed(Stream.fail(new StreamLost({ taskId: task.id, after: 0, reason: error.message })))
                ),
                Effect.flatMap((events) => stream(events, { headers: location(task) }))
              )
          ))
        ),
      list: ({ query }) => {
        const limit = query.limit ?? 20
        const found = manager.list({ ...toListOptions(query), limit: limit + 1 })
        return withProblems(Effect.map(found, (tasks) => paged(tasks, limit, idOf)))
      },
      counts: ({ query }) => withProblems(manager.counts(query)),
      get: ({ params }) => withProblems(manager.get(params.id)),
      events: ({ headers, params, query }) =>
        Effect.gen(function*() {
          const lastEventId = headers["last-event-id"]
          const after = (lastEventId === "" ? undefined : lastEventId) ?? query.after ?? 0
          const { events, task } = yield* withProblems(manager.open(params.id, { after }))
          const page = wantsPage(headers.accept)
          if (page) return yield* withProblems(readPage(events, task, after, query.limit ?? 256))
          if (isTerminal(task.status) && after === task.lastSeq) return noContent
          yield* admit
          return yield* stream(events, { wire: wireFor(headers.accept) })
        }),
      tree: ({ headers, params: { id }, query }) =>
        Effect.gen(function*() {
          const lastEventId = headers["last-event-id"]
          const after = (lastEventId === "" ? undefined : lastEventId) ?? query.after
          const { lastSeq, status } = yield* withProblems(manager.get(id))
          const events = yield* withProblems(manager.treeEvents(id, { after }))
          if (isTerminal(status) && after?.taskId === id && after.seq === lastSeq) return noContent
          yield* admit
          return yield* stream(events, {
            wire: headers.accept?.includes("text/event-stream") === true ? placeSource : placeLog
          })
        }),
      throughput: () => withProblems(manager.throughput),
      cancel: ({ params, payload }) => cancel(params.id, payload),
      decide: ({ params, payload }) => withProblems(manager.decide(params.id, params.toolCallId, payload))
    })
  })
)

/**
 * The handler that describes agents.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layerAgents: Layer.Layer<
  HttpApiGroup.Service<"perennial", "agents">,
  never,
  TaskManager | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "agents",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    return handlers.handleAll({
      list: () => withProblems(Effect.map(manager.agents, (items) => ({ items })))
    })
  })
)

/**
 * The handler that makes tickets.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layerTickets: Layer.Layer<
  HttpApiGroup.Service<"perennial", "tickets">,
  never,
  TaskManager | Tickets | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "tickets",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const tickets = yield* Tickets

    return handlers.handleAll({
      create: Effect.fnUntraced(function*({ payload }) {
        if (payload?.taskId !== undefined) yield* withProblems(manager.get(payload.taskId))
        const userId = yield* CurrentUser
        return yield* tickets.issue({ ...(yield* CurrentPrincipal), userId }, payload)
      })
    })
  })
)

/**
 * The handlers of health checks.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layerSystem: Layer.Layer<
  HttpApiGroup.Service<"perennial", "system">,
  never,
  TaskManager | Sse.EventStreams | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "system",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    const readiness = yield* Readiness
    const answers = yield* makeReadiness(withProblems(manager.list({ limit: 1 })))

    return handlers.handleAll({
      health: () => Effect.succeed({ ok: true as const }),
      ready: () =>
        Effect.gen(function*() {
          if (yield* streams.draining) return yield* new Unavailable({ detail: "The server is shutting down." })
          yield* Effect.mapError(readiness, ({ message }) => new Unavailable({ detail: message }))
          yield* answers
          return { ok: true as const }
        })
    })
  })
)
