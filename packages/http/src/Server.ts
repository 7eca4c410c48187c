/**
 * The server: routes, documentation, limits and an orderly end, on whatever platform provides an `HttpServer`, beside
 * whatever other routes an application has.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { HandOver } from "@perennial/domain/HandOver"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { ByteSize, Duration, Effect, Function, Layer } from "effect"
import {
  type FindMyWay,
  HttpIncomingMessage,
  HttpMiddleware,
  HttpPlatform,
  HttpRouter,
  HttpServer,
  HttpServerResponse,
  UrlParams
} from "effect/http"
import { HttpApi, HttpApiBuilder, type HttpApiGroup, HttpApiScalar, OpenApi } from "effect/http-api"
import * as AccountHandlers from "./AccountHandlers.ts"
import { Api } from "./Api.ts"
import { type Authorization, tokenKey } from "./Authorization.ts"
import * as ConversationHandlers from "./ConversationHandlers.ts"
import type { Face, Group } from "./Face.ts"
import * as Feed from "./Feed.ts"
import * as Handlers from "./Handlers.ts"
import { LinkBase } from "./internal/linkBase.ts"
import { layerNotFound } from "./internal/notFound.ts"
import { checkPolicies } from "./internal/policies.ts"
import { PublicUrl } from "./internal/publicUrl.ts"
import { layerRequestLimits } from "./internal/requestCounter.ts"
import { layerRequestProblems } from "./internal/requestProblems.ts"
import { ResponseTimeout } from "./internal/responseTimeout.ts"
import { layerTicketed } from "./internal/ticketed.ts"
import { Operator } from "./OperatorApi.ts"
import * as OperatorHandlers from "./OperatorHandlers.ts"
import * as Sse from "./Sse.ts"
import * as Tickets from "./Tickets.ts"
import * as UserHandlers from "./UserHandlers.ts"
import * as WebhookHandlers from "./WebhookHandlers.ts"

/**
 * Where the routes are, and what they accept.
 *
 * @since 0.1.0
 * @category models
 */
export interface RouteOptions {
  /**
   * The path that all routes are under, such as `/agents`; none by default. Paths outside it belong to the application.
   */
  readonly prefix?: `/${string}` | undefined
  /**
   * The URL at which clients reach the routes, prefix included, such as `https://example.com/agents`. `Location` and the
   * OpenAPI document begin with it; by default both have the path alone, which is right unless a proxy changes it. Writes
   * of pages of its origin are accepted, also where a proxy changes `Host`.
   */
  readonly publicUrl?: string | undefined
  /** The secret and the lifetime of tickets for event streams. */
  readonly tickets?: Tickets.Options | undefined
  /** How large the body of a request may be; 8 MiB by default, room for a message with files. More is answered 413. */
  readonly maxBodySize?: ByteSize.Input | undefined
  /**
   * How long a response may take to begin, 2 minutes by default. Then the request is interrupted and answered 503. An event
   * stream that has begun may take any time.
   */
  readonly responseTimeout?: Duration.Input | undefined
  /** Whether the page `/docs` is served, which takes three megabytes of memory; true by default. */
  readonly docs?: boolean | undefined
  /** Other protocols over the same tasks: `docs/faces/README.md` lists them. None by default. */
  readonly faces?: ReadonlyArray<Face> | undefined
}

/**
 * How event streams behave, and how the server ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServeOptions extends Sse.Options {
  /**
   * Whether the process ends with the server: then its tasks are handed over before the server waits for open requests,
   * not after them. False by default: tasks go on without the server.
   */
  readonly handOver?: boolean | undefined
}

/**
 * How the server behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends RouteOptions, ServeOptions {}

/**
 * The setting of the router that the routes need: ids in paths are longer than a router allows by default.
 *
 * @since 0.1.0
 * @category config
 */
export const routerConfig: Partial<FindMyWay.RouterConfig> = {
  // An id has at most 200 characters, of up to three bytes each, percent-encoded.
  maxParamLength: 2000
}

const compressed = HttpRouter.middleware(
  Effect.map(
    HttpPlatform.HttpPlatform,
    (platform) => (app) => Effect.provideService(HttpMiddleware.compression()(app), HttpPlatform.HttpPlatform, platform)
  )
).layer

/** The document is made when somebody asks for it first. */
const layerDocument = <Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<"perennial", Groups>) => {
  const response = Function.memoize((described: typeof api) =>
    HttpServerResponse.jsonUnsafe(OpenApi.fromApi(described))
  )
  return HttpRouter.add("GET", "/openapi.json", Effect.sync(() => response(api)))
}

const withoutSlash = (text: string): string => text.replace(/\/+$/, "")

/**
 * All routes of the API, `/openapi.json` and `/docs`, under a prefix.
 *
 * **When to use** To embed the API in an application with routes of its own: see `serve`. `layer` serves them alone.
 *
 * **Gotchas** `serve` and `toWebHandler` see to the router's setting and to the end of event streams. With
 * `HttpRouter.serve` both are up to you: pass `routerConfig`, and build `Sse.layerDrain` after the server.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRoutes = (options?: RouteOptions) => {
  const prefix = withoutSlash(options?.prefix ?? "")
  const docs = options?.docs ?? true
  const faces = options?.faces ?? []
  const base = options?.publicUrl === undefined ? prefix : withoutSlash(options.publicUrl)
  const maxBodySize = options?.maxBodySize === undefined
    ? ByteSize.mebibytes(8)
    : ByteSize.fromInputUnsafe(options.maxBodySize)
  const api = Api.annotate(OpenApi.Servers, [{ url: base === "" ? "/" : base }])
  const groups: ReadonlyArray<Group> = [...Object.values(Api.groups), ...faces.map(({ group }) => group)]
  const described = HttpApi.make("perennial").add(Api.groups.tasks, ...groups).annotateMerge(api.annotations)
  const underPrefix = Layer.effect(
    HttpRouter.HttpRouter,
    Effect.map(HttpRouter.HttpRouter, (router) => prefix === "" ? router : router.prefixed(prefix))
  )
  return Layer.mergeAll(
    HttpApiBuilder.layer(api).pipe(
      Layer.merge(layerDocument(described)),
      Layer.merge(faces.reduce<Face["routes"]>((all, { routes }) => Layer.merge(all, routes), Layer.empty)),
      Layer.provide([
        Handlers.layerTasks,
        ConversationHandlers.layer,
        Feed.layerHandlers,
        Handlers.layerAgents,
        AccountHandlers.layer,
        Handlers.layerTickets,
        Layer.provide(OperatorHandlers.layer, Operator.layer),
        WebhookHandlers.layer,
        UserHandlers.layer,
        Handlers.layerSystem
      ]),
      Layer.provide([layerRequestProblems, layerRequestLimits])
    ),
    // Embedded: the page loads nothing from elsewhere. It has three megabytes, compressed less than one.
    docs ?
      HttpApiScalar.layer(described, {
        path: "/docs",
        scalar: { withDefaultFonts: false }
      }).pipe(
        Layer.provide(compressed)
      ) :
      Layer.empty
  ).pipe(
    Layer.provide(underPrefix),
    Layer.merge(layerNotFound({ prefix, docs, groups })),
    Layer.merge(layerTicketed(prefix)),
    Layer.provide(Tickets.layer(options?.tickets)),
    Layer.merge(Layer.effectDiscard(checkPolicies(groups))),
    Layer.provide(Layer.succeed(LinkBase, base)),
    Layer.provide(Layer.succeed(PublicUrl, options?.publicUrl)),
    Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, maxBodySize)),
    Layer.provide(
      options?.responseTimeout === undefined
        ? Layer.empty
        : Layer.succeed(ResponseTimeout, Duration.fromInputUnsafe(options.responseTimeout))
    )
  )
}

/** Spans of requests have addresses, and addresses may have credentials. */
const redacted = Layer.effect(
  UrlParams.CurrentRedactedNames,
  Effect.map(UrlParams.CurrentRedactedNames, (names) => [...names, tokenKey, Tickets.ticketKey])
)

/** A few milliseconds: with many readers of a fast task they save most of the writes, and nobody sees them. */
const streams = (options: ServeOptions = {}) => Sse.layer({ coalesce: "5 millis", ...options })

/** A slow request holds the server up, and must not hold tasks up with it. The server stops being ready first. */
const layerHandOver = Layer.effectDiscard(Effect.gen(function*() {
  const handOver = yield* HandOver
  const streams = yield* Sse.EventStreams
  yield* Effect.addFinalizer(() => Effect.andThen(streams.drain, handOver))
}))

/**
 * Serves the routes of an application, `layerRoutes` among them. At the end it first ends open event streams with a
 * `retry:` hint, and then waits for other requests.
 *
 * **Details** Requests are not logged one by one; add `HttpMiddleware.logger` to the routes where that is wanted.
 *
 * **Example** (beside the routes of an application)
 *
 * ```ts
 * import * as Server from "@perennial/http/Server"
 * import { Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * const Hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("Hello"))
 *
 * const App = Server.serve(Layer.merge(Hello, Server.layerRoutes({ prefix: "/agents" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const serve = <A, E, R>(routes: Layer.Layer<A, E, R>, options?: ServeOptions) =>
  (options?.handOver === true ? layerHandOver : Sse.layerDrain).pipe(
    Layer.provide(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true, routerConfig }).pipe(
        Layer.provide(redacted)
      )
    ),
    Layer.provide(streams(options))
  )

/**
 * Serves the API: `serve` with `layerRoutes` alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options) => serve(layerRoutes(options), options)

/**
 * A web-standard handler for hosts that are not Effect: Express, Hono, Next.js and the like.
 *
 * **Details** The host passes on the requests whose path is under the prefix, with their whole path. A request that is
 * aborted, or whose response body is cancelled, ends its event stream. The layer is built at once; where
 * that fails, every request is rejected with the reason. `dispose` ends open event streams with a `retry:` hint, and then
 * closes the layer.
 *
 * **Gotchas** `Tokens.layerLocal` cannot be used here: nobody knows where the host listens.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toWebHandler = <E>(
  layer: Layer.Layer<Authorization | TaskManager | ConversationStore, E>,
  options?: Options
): {
  readonly handler: (request: Request) => Promise<Response>
  readonly dispose: () => Promise<void>
} =>
  HttpRouter.toWebHandler(
    Layer.merge(
      layerRoutes(options),
      options?.handOver === true ? layerHandOver : Sse.layerDrain
    ).pipe(
      Layer.provide(streams(options)),
      Layer.provide(layer),
      Layer.provideMerge(redacted),
      Layer.provideMerge(HttpServer.layerServices)
    ),
    { disableLogger: true, routerConfig }
  )
