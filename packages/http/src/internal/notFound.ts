/**
 * Answers what no route takes: 405 with `Allow` where the path is known with other methods, else 404.
 */
import { Effect } from "effect"
import {
  FindMyWay,
  HttpRouter,
  HttpServerError,
  type HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse
} from "effect/http"
import { Api } from "../Api.ts"
import { MethodNotAllowed, RouteNotFound } from "../Problems.ts"

/** Ids may have 200 characters of up to three bytes, each percent-encoded. */
export const routerConfig: Partial<FindMyWay.RouterConfig> = { maxParamLength: 2000 }

/** Knows the methods of every path; asked only when a request has failed. */
const table = FindMyWay.make<true>(routerConfig)
const methods = new Set<string>(["GET"])
for (const path of ["/docs", "/openapi.json"] as const) table.on("GET", path, true)
for (const group of Object.values(Api.groups)) {
  for (const { method, path } of Object.values(group.endpoints)) {
    methods.add(method)
    table.on(method, path, true)
  }
}

const respond = (request: HttpServerRequest.HttpServerRequest) => {
  const allow = [...methods].filter((method) => table.find(method, request.url) !== undefined)
  const path = request.url.replace(/[?#].*$/s, "")
  if (allow.length === 0) {
    const problem = new RouteNotFound({ path, detail: `There is nothing at ${path}. GET /docs lists what there is.` })
    return HttpServerRespondable.toResponse(problem)
  }
  const problem = new MethodNotAllowed({ allow, detail: `${path} takes ${allow.join(", ")}, not ${request.method}.` })
  return Effect.map(
    HttpServerRespondable.toResponse(problem),
    HttpServerResponse.setHeader("allow", allow.join(", "))
  )
}

const requestWithoutRoute = (error: unknown): HttpServerRequest.HttpServerRequest | undefined =>
  HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound" ? error.request : undefined

export const layerNotFound = HttpRouter.middleware(
  (app) =>
    Effect.catch(app, (error) => {
      const request = requestWithoutRoute(error)
      return request === undefined ? Effect.fail(error) : respond(request)
    }),
  { global: true }
)
