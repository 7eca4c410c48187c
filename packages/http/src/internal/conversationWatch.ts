/** Follows the events of a conversation over as many connections as it takes. */
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import type { ConversationId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Effect, Stream } from "effect"
import type { HttpApiClient } from "effect/http-api"
import type { Api } from "../Api.ts"
import { ConversationFrame } from "../ConversationsApi.ts"
import { refused, type WatchError } from "../Watch.ts"
import * as EndlessWatch from "./endlessWatch.ts"
import { toStored } from "./timedEvent.ts"

export type WatchConversation = (
  id: ConversationId,
  options?: { readonly after?: EventPlace | undefined }
) => Stream.Stream<StoredEvent, WatchError>

type Open = HttpApiClient.ForApi<typeof Api>["conversations"]["events"]

const connect = (open: Open, id: ConversationId, after: EventPlace | undefined) =>
  open({
    params: { id },
    query: {},
    headers: after === undefined ? {} : { "last-event-id": after },
    responseMode: "response-only"
  })

export const make = (open: Open): WatchConversation => (id, options) =>
  EndlessWatch.make({
    open: (after: EventPlace | undefined) => connect(open, id, after),
    frame: ConversationFrame,
    toItem: ({ data, id }, now) => toStored(id.seq, data, now),
    cursorOf: placeOf,
    seqOf: ({ seq }) => seq
  })(options?.after)

/** Fails if the server refuses to show the events after a place. */
export const check = (open: Open, id: ConversationId, after: EventPlace | undefined): Effect.Effect<void, WatchError> =>
  Effect.flatMap(
    connect(open, id, after),
    // The first bytes come at once. Leaving the stream closes the connection.
    (response) => response.status === 200 ? Effect.asVoid(Stream.runHead(response.stream)) : refused(response)
  )
