/**
 * The server: routes, documentation, limits and an orderly end, on whatever platform provides an `HttpServer`.
 *
 * @since 0.1.0
 */
import { TaskManager } from "@perennial/domain/TaskManager"
import { ByteSize, Effect, Layer } from "effect"
import { type FindMyWay, HttpIncomingMessage, HttpRouter } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { Api } from "./Api.ts"
import * as Handlers from "./Handlers.ts"
import { layerNotFound, routerConfig as config } from "./internal/notFound.ts"
import { layerRequestProblems } from "./internal/requestProblems.ts"
import * as Sse from "./Sse.ts"

/**
 * How the server behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Sse.Options {
  /** How large the body of a request may be; 8 MiB by default, room for a message with files. More is answered 413. */
  readonly maxBodySize?: ByteSize.Input | undefined
  /**
   * Whether the process ends with the server: then its tasks are handed over before the server waits for open requests,
   * not after them. False by default: tasks go on without the server.
   */
  readonly handOver?: boolean | undefined
  /** Routes of the application, served beside the API. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter> | undefined
}

/**
 * What a router of the routes has to be told: ids in paths are longer than it allows by default.
 *
 * @since 0.1.0
 * @category config
 */
export const routerConfig: Partial<FindMyWay.RouterConfig> = config

/**
 * All routes: the API, `/openapi.json` and `/docs`.
 *
 * **When to use** To serve them together with routes of your own, or by `HttpRouter.toWebHandler`. Else use `layer`.
 *
 * **Gotchas** `HttpRouter.serve` and `HttpRouter.toWebHandler` want the `routerConfig` of this module, or long ids are
 * not found.
 *
 * @since 0.1.0
 * @category layers
 */
export const routes = (options?: Pick<Options, "maxBodySize" | "routes">) => {
  const maxBodySize = options?.maxBodySize === undefined
    ? ByteSize.mebibytes(8)
    : ByteSize.fromInputUnsafe(options.maxBodySize)
  return Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide([Handlers.layerTasks, Handlers.layerConversations, Handlers.layerSystem]),
      Layer.provide(layerRequestProblems)
    ),
    // Embedded: the page loads nothing from elsewhere.
    HttpApiScalar.layer(Api, { path: "/docs", scalar: { withDefaultFonts: false } }),
    layerNotFound,
    options?.routes ?? Layer.empty
  ).pipe(Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, maxBodySize)))
}

/** Of the requests that a server waits for one may take long: tasks do not wait with it. It is not ready any more first. */
const layerHandOver = Layer.effectDiscard(Effect.gen(function*() {
  const manager = yield* TaskManager
  const streams = yield* Sse.EventStreams
  yield* Effect.addFinalizer(() => Effect.andThen(streams.drain, manager.drain))
}))

/**
 * Serves the routes, and ends open event streams with a `retry:` hint before the server closes.
 *
 * **Details** Requests are not logged one by one; add `HttpMiddleware.logger` to `routes` where that is wanted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options) =>
  (options?.handOver === true ? layerHandOver : Sse.layerDrain).pipe(
    Layer.provide(HttpRouter.serve(routes(options), {
      disableLogger: true,
      disableListenLog: true,
      routerConfig
    })),
    Layer.provide(Sse.layer(options))
  )
