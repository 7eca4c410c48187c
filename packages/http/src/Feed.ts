/**
 * The handlers of the feed and of approvals, over a `TaskManager`.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, type Layer, Stream } from "effect"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { admitted } from "./internal/admitted.ts"
import { feedLog, feedSource, toEvent } from "./internal/feedWire.ts"
import { withProblems } from "./internal/withProblems.ts"
import { CurrentPrincipal } from "./Principal.ts"
import type { RefusalLimit, RequestLimit, RequestProblems } from "./Problems.ts"
import * as Sse from "./Sse.ts"

/**
 * @since 0.1.0
 * @category handlers
 */
export const layerHandlers: Layer.Layer<
  HttpApiGroup.Service<"perennial", "feed">,
  never,
  TaskManager | Sse.EventStreams | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "feed",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    return handlers.handleAll({
      feed: ({ headers, query }) =>
        Effect.gen(function*() {
          yield* admitted(streams)
          const lastEventId = headers["last-event-id"]
          const updates = yield* withProblems(
            manager.feed({ after: (lastEventId === "" ? undefined : lastEventId) ?? query.after })
          )
          const principal = yield* CurrentPrincipal
          const userId = yield* CurrentUser
          return streams.response(Stream.map(updates, toEvent), {
            wire: headers.accept?.includes("text/event-stream") === true ? feedSource : feedLog,
            userId,
            expiresAt: principal?.expiresAt
          })
        }),
      approvals: ({ query }) => withProblems(manager.approvals(query))
    })
  })
)
