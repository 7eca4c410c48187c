/**
 * Answers the requests under the prefix of the API that no endpoint takes: 405 with `Allow` where the path has other
 * methods, 400 where the path cannot be an endpoint's, else 404. Paths outside the prefix belong to the host application.
 */
import { Effect, Layer } from "effect"
import {
  FindMyWay,
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse
} from "effect/http"
import type { Group } from "../Face.ts"
import { InvalidRequest, MethodNotAllowed, RouteNotFound } from "../Problems.ts"
import { pathOf } from "./requestPath.ts"

/** A colon that begins no segment, as in `/tasks/:id:cancel`, begins no parameter either. */
const toPattern = (path: HttpRouter.PathInput): HttpRouter.PathInput =>
  // What is put in has no slash, so that the path begins as it did.
  path.replaceAll(/(\/:\w+)?(?<!\/):(?=\w)/g, (_, name?: string) =>
    name === undefined ? "::" : `${name}(.*?)::`) as typeof path

/** Knows the methods of every path, also of paths with ids that are too long; asked only when a request has failed. */
const makeTable = (groups: ReadonlyArray<Group>) => {
  const table = FindMyWay.make<true>({ maxParamLength: Number.MAX_SAFE_INTEGER })
  const methods = new Set<string>(["GET"])
  for (const path of ["/docs", "/openapi.json"] as const) table.on("GET", path, true)
  for (const group of groups) {
    for (const { method, path } of Object.values(group.endpoints)) {
      methods.add(method)
      table.on(method, toPattern(path), true)
    }
  }
  return (path: string) => [...methods].filter((method) => table.find(method, path) !== undefined)
}

interface Options {
  readonly prefix: string
  /** Whether the page `/docs` is served. */
  readonly docs: boolean
  readonly groups: ReadonlyArray<Group>
}

interface Known extends Options {
  readonly methodsOf: (path: string) => ReadonlyArray<string>
}

const wellEncoded = (path: string): boolean => {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

const invalidPath = (message: string) =>
  new InvalidRequest({ errors: [{ path: ["params"], message }], detail: `params: ${message}` })

const respond = (path: string, { docs, methodsOf, prefix }: Known, method: string) => {
  if (!wellEncoded(path)) {
    return HttpServerRespondable.toResponse(invalidPath("Expected a path in which percent-encoding is valid UTF-8"))
  }
  const inside = path.slice(prefix.length) || "/"
  const shown = path.length <= 200 ? path : `${path.slice(0, 200)}…`
  const exists = docs || inside !== "/docs"
  const allow = exists ? methodsOf(inside) : []
  if (allow.includes(method === "HEAD" ? "GET" : method)) {
    return HttpServerRespondable.toResponse(invalidPath("Expected ids of at most 200 characters"))
  }
  if (allow.length === 0) {
    const detail = `There is nothing at ${shown}. GET ${prefix}${docs ? "/docs" : "/openapi.json"} lists what there is.`
    return HttpServerRespondable.toResponse(new RouteNotFound({ path: shown, detail }))
  }
  const problem = new MethodNotAllowed({ allow, detail: `${shown} takes ${allow.join(", ")}, not ${method}.` })
  return Effect.map(
    HttpServerRespondable.toResponse(problem),
    HttpServerResponse.setHeader("allow", allow.join(", "))
  )
}

const isRouteNotFound = (error: unknown): boolean =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"

/** Not `HEAD`: the router takes it for `GET` only where it has no route for it. */
const routed = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const

/**
 * Under a prefix, a route for the rest of its paths comes before a host's own route for all paths. The middleware answers
 * what no route can match.
 */
export const layerNotFound = (options: Options): Layer.Layer<never, never, HttpRouter.HttpRouter> => {
  const { prefix } = options
  const known = { ...options, methodsOf: makeTable(options.groups) }
  const answer = Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) => respond(pathOf(request), known, request.method)
  )
  const middleware = HttpRouter.middleware(
    (app) =>
      Effect.catch(app, (error) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
          const path = pathOf(request)
          const inside = path === prefix || path.startsWith(`${prefix}/`)
          return inside && isRouteNotFound(error) ? answer : Effect.fail(error)
        })),
    { global: true }
  )
  if (prefix === "") return middleware
  const rest = HttpRouter.use((router) =>
    Effect.forEach(routed, (method) => router.add(method, `/${prefix.slice(1)}/*`, answer), { discard: true })
  )
  return Layer.merge(middleware, rest)
}
