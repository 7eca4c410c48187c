/**
 * The typed client. Runs wherever there is an `HttpClient`: browsers, Node.js, and elsewhere.
 *
 * `layerTaskManager` provides the tasks of a server as a `TaskManager`, so that the same program runs in process or against
 * a server. `layer` provides every endpoint of the API as a method, and every problem as a typed error.
 *
 * @since 0.1.0
 */
import { TaskManager } from "@perennial/domain/TaskManager"
import { Context, Effect, Layer, type Redacted } from "effect"
import { type HttpClient, type HttpClientError, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api } from "./Api.ts"
import { Authorization } from "./Authorization.ts"
import { make as makeConversation, type WatchConversation } from "./internal/conversationWatch.ts"
import { make as makeFeed, type WatchFeed } from "./internal/feedWatch.ts"
import { type LenientClient, makeLenient } from "./internal/lenientClient.ts"
import { makeRemote } from "./internal/remoteTaskManager.ts"
import { make as makeTree, type WatchTree } from "./internal/treeWatch.ts"
import * as Watch from "./Watch.ts"

/**
 * The client of a Perennial server.
 *
 * **Details** A part of a request in which nothing is required may be left out: `client.tasks.list()`.
 *
 * @since 0.1.0
 * @category services
 */
export class PerennialClient extends Context.Service<
  PerennialClient,
  LenientClient<typeof Api> & {
    /**
     * The events of a task after a cursor, each once and in order (P3), up to its terminal event.
     *
     * **Details** A cut connection, a restarted server, 5xx, 408, 425 and 429 are survived: the client connects again from
     * the last event it has. Every other problem fails at once. Event types that this version does not know arrive as
     * `{ type: "unknown", raw }`. `at` is the time of arrival: the stream does not carry the time of writing.
     */
    readonly watch: Watch.Watch
    /**
     * The feed of the user's tasks, as `TaskManager.feed`. Cut connections are survived as by `watch`; the first update after one
     * is a snapshot.
     */
    readonly watchFeed: WatchFeed
    /**
     * The events of a conversation after a place, each once and in order (P3), as `TaskManager.conversationEvents`. Cut connections
     * are survived as by `watch`. The stream does not end by itself: when the conversation was deleted, it fails with
     * `ConversationNotFound`.
     */
    readonly watchConversation: WatchConversation
    /**
     * The events of a task and of all tasks below it, after a place, each once and in order (P3), as `TaskManager.treeEvents`. Cut
     * connections are survived as by `watch`.
     */
    readonly watchTree: WatchTree
  }
>()("@perennial/http/Client/PerennialClient") {}

/**
 * A bearer token. As an effect it is asked for before each request, also before each connection of a watch, in the fiber
 * that makes the request: tokens may change, and may depend on `CurrentUser`.
 *
 * @since 0.1.0
 * @category models
 */
export type Token =
  | string
  | Redacted.Redacted
  | Effect.Effect<string | Redacted.Redacted, HttpClientError.HttpClientError>

/**
 * Where the server is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The URL of the server, with its prefix if it has one. */
  readonly baseUrl: string
  /** For servers that want one. */
  readonly token?: Token | undefined
}

const layerToken = (token: Token | undefined) =>
  HttpApiMiddleware.layerClient(Authorization, ({ next, request }) => {
    if (token === undefined) return next(request)
    return Effect.isEffect(token)
      ? Effect.flatMap(token, (token) => next(HttpClientRequest.bearerToken(request, token)))
      : next(HttpClientRequest.bearerToken(request, token))
  })

/**
 * A client of the server at `baseUrl`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<PerennialClient, never, HttpClient.HttpClient> =>
  Layer.effect(
    PerennialClient,
    Effect.map(
      HttpApiClient.make(Api, { baseUrl: options.baseUrl }),
      (client) =>
        PerennialClient.of({
          ...makeLenient<typeof Api>(client),
          watch: Watch.make(client.tasks.events),
          watchFeed: makeFeed(client.feed.feed),
          watchConversation: makeConversation(client.conversations.events),
          watchTree: makeTree(client.tasks.tree)
        })
    )
  ).pipe(Layer.provide(layerToken(options.token)))

/**
 * The tasks of the server at `baseUrl` as a `TaskManager`: the same program runs in process or against a server by swapping
 * this layer.
 *
 * **Details** The user is the token's, whatever `CurrentUser` is. Requests that are safe to repeat are repeated for some six
 * seconds while the server cannot be reached; `start` and `regenerate` get an idempotency key for it. Whatever else goes
 * wrong between client and server is a `TaskBackendError` whose `cause` is the problem; in a stream that has begun it is
 * `StreamLost`. `logContext` stays in this process. The time of an event is the time of its arrival.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTaskManager = (options: Options): Layer.Layer<TaskManager, never, HttpClient.HttpClient> =>
  Layer.effect(TaskManager, Effect.map(PerennialClient, makeRemote)).pipe(Layer.provide(layer(options)))
