/** Finds the principal of a request that has a ticket in its URL. `Authorization` accepts this principal. */
import { Effect, type Layer, Option } from "effect"
import { HttpRouter, HttpServerRequest } from "effect/http"
import { CurrentPrincipal } from "../Principal.ts"
import { ticketKey, Tickets } from "../Tickets.ts"
import { pathOf } from "./requestPath.ts"

/** A malformed path belongs to no task. */
const decodeSegment = Option.liftThrowable(decodeURIComponent)

/** The ticket of a request for an event stream, and the task of the stream. Undefined for all other requests. */
const ticketOf = (request: HttpServerRequest.HttpServerRequest, prefix: string) => {
  if (request.method !== "GET") return undefined
  // The target may be no URL at all.
  const ticket = new URLSearchParams(/\?(.*)$/s.exec(request.originalUrl)?.[1]).get(ticketKey)
  const whole = pathOf(request)
  const path = whole.startsWith(`${prefix}/`) ? whole.slice(prefix.length) : ""
  const taskId = /^\/tasks\/([^/]+)\/(?:tree\/)?events$/.exec(path)?.[1]
  const isOfUser = path === "/feed" || /^\/conversations\/[^/]+\/events$/.test(path)
  if (ticket === null || (taskId === undefined && !isOfUser)) return undefined
  return { ticket, taskId: taskId === undefined ? undefined : Option.getOrElse(decodeSegment(taskId), () => "") }
}

export const layerTicketed = (prefix: string): Layer.Layer<never, never, HttpRouter.HttpRouter | Tickets> =>
  HttpRouter.middleware(
    Effect.map(Tickets, (tickets) => (app) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const asked = ticketOf(request, prefix)
        if (asked === undefined) return app
        return Effect.flatMap(
          tickets.verify(asked.ticket, asked),
          Option.match({
            onNone: () => app,
            onSome: (principal) => Effect.provideService(app, CurrentPrincipal, principal)
          })
        )
      })),
    { global: true }
  )
