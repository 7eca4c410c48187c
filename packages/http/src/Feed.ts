/**
 * The handlers of the feed and of approvals, over a `TaskManager`.
 *
 * @since 0.1.0
 */
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, type Layer } from "effect"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { withProblems } from "./internal/withProblems.ts"
import type { RefusalLimit, RequestLimit, RequestProblems } from "./Problems.ts"

/**
 * @since 0.1.0
 * @category handlers
 */
export const layerHandlers: Layer.Layer<
  HttpApiGroup.Service<"perennial", "feed">,
  never,
  TaskManager | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "feed",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    return handlers.handleAll({
      approvals: ({ query }) => withProblems(manager.approvals(query))
    })
  })
)
