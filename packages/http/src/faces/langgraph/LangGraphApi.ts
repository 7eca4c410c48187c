/**
 * The endpoints of the LangGraph face: the part of the API of LangGraph Server that its SDK uses for agents.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, OpenApi } from "effect/http-api"
import { Authorization, Public } from "../../Authorization.ts"
import { documented } from "../../internal/openApi.ts"
import * as Problems from "../../Problems.ts"
import { Values } from "./LangGraphSchemas.ts"
import { runEndpoints } from "./RunEndpoints.ts"
import { threadEndpoints } from "./ThreadEndpoints.ts"

/**
 * Takes the header `x-api-key` for a bearer token where a request has no `Authorization`: it is the header of LangGraph's SDK.
 *
 * @since 0.1.0
 * @category middleware
 */
export class ApiKey extends HttpApiMiddleware.Service<ApiKey>()("@perennial/http/LangGraphApi/ApiKey") {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layerApiKey: Layer.Layer<ApiKey> = Layer.succeed(
  ApiKey,
  (handler) =>
    Effect.updateService(handler, HttpServerRequest.HttpServerRequest, (request) => {
      const { "x-api-key": key, authorization } = request.headers
      if (key === undefined || authorization !== undefined) return request
      return request.modify({ headers: { ...request.headers, authorization: `Bearer ${key}` } })
    })
)

/**
 * The endpoints.
 *
 * @since 0.1.0
 * @category groups
 */
export class LangGraphGroup extends HttpApiGroup.make("langgraph")
  .add(...runEndpoints, ...threadEndpoints)
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .add(
    HttpApiEndpoint.get("ok", "/ok", { success: Schema.Struct({ ok: Schema.Boolean }) })
      .annotate(Public, true)
      .annotateMerge(documented({
        summary: "Whether the server answers",
        description: "For the checks of LangGraph's tools. `/health` and `/ready` are the checks of Perennial.",
        responses: { 200: { description: "The server answers", example: { ok: true } } }
      })),
    HttpApiEndpoint.get("info", "/info", { success: Values })
      .annotate(Public, true)
      .annotateMerge(documented({
        summary: "What the server can do",
        description: "The flags that LangGraph's clients ask for.",
        responses: { 200: { description: "The flags", example: { flags: { assistants: true } } } }
      }))
  )
  .annotateMerge(OpenApi.annotations({ title: "LangGraph", description: "Threads and runs for clients of LangGraph." }))
{}

/**
 * The endpoints with the middleware of the whole API.
 *
 * @since 0.1.0
 * @category api
 */
export class LangGraphApi extends HttpApi.make("perennial")
  .add(LangGraphGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
  .middleware(ApiKey)
{}
