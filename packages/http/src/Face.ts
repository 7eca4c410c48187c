/**
 * Faces: other protocols over the same tasks, for clients that exist already.
 *
 * A face computes everything from the logs of tasks. It has no state, so that its clients survive a restart of the server, the
 * death of the owner of a task, and each other. A face that is not mounted is not loaded.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskManager } from "@perennial/domain/TaskManager"
import type { Context, FileSystem, Layer, Path } from "effect"
import type { Etag, HttpPlatform, HttpRouter } from "effect/http"
import type { HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import type { Authorization } from "./Authorization.ts"
import type { RefusalLimit, RequestLimit, RequestProblems } from "./Problems.ts"
import type { EventStreams } from "./Sse.ts"

/**
 * What the routes of a face use: the services of `Server.layerRoutes`.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | TaskManager
  | ConversationStore
  | EventStreams
  | Authorization
  | RequestLimit
  | RefusalLimit
  | RequestProblems
  | HttpRouter.HttpRouter
  | HttpPlatform.HttpPlatform
  | Etag.Generator
  | FileSystem.FileSystem
  | Path.Path

/**
 * A group of endpoints, with what the server asks about them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Group extends HttpApiGroup.Constraint {
  readonly annotations: Context.Context<never>
  readonly endpoints: {
    readonly [name: string]: HttpApiEndpoint.Constraint & {
      readonly method: string
      readonly path: HttpRouter.PathInput
      readonly middlewares: ReadonlySet<unknown>
      readonly annotations: Context.Context<never>
    }
  }
}

/**
 * A face, for `faces` of `Server.layerRoutes`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Face {
  /** Its endpoints, for the OpenAPI document, for 405, and for the check that each has a user. */
  readonly group: Group
  /** Its routes. */
  readonly routes: Layer.Layer<never, never, Services>
}
