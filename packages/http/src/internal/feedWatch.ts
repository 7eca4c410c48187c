/** Follows the feed over as many connections as it takes. */
import type { FeedUpdate } from "@perennial/domain/Feed"
import type { Stream } from "effect"
import type { HttpApiClient } from "effect/http-api"
import type { Api } from "../Api.ts"
import { FeedFrame } from "../FeedApi.ts"
import type { WatchError } from "../Watch.ts"
import * as EndlessWatch from "./endlessWatch.ts"

export type WatchFeed = (
  options?: { readonly after?: number | undefined }
) => Stream.Stream<FeedUpdate, WatchError>

export const make = (open: HttpApiClient.ForApi<typeof Api>["feed"]["feed"]): WatchFeed => {
  const watch = EndlessWatch.make({
    open: (cursor: number | undefined) =>
      open({
        query: {},
        headers: cursor === undefined ? {} : { "last-event-id": cursor },
        responseMode: "response-only"
      }),
    frame: FeedFrame,
    toItem: ({ data, id }): FeedUpdate => ({ ...data, cursor: id }),
    cursorOf: ({ cursor }) => cursor,
    seqOf: (cursor) => cursor
  })
  return (options) => watch(options?.after)
}
