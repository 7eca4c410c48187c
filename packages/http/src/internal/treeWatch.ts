/** Follows the events of a task and of the tasks below it over as many connections as it takes. */
import { type EventPlace, placeOf, taskIdOf } from "@perennial/domain/EventPlace"
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import { Effect, Stream } from "effect"
import { HttpClientError } from "effect/http"
import type { HttpApiClient } from "effect/http-api"
import type { Api } from "../Api.ts"
import { refused, type WatchError } from "../Watch.ts"
import * as EndlessWatch from "./endlessWatch.ts"
import { PlaceFrame } from "./placeParts.ts"
import { toStored } from "./timedEvent.ts"

export type WatchTree = (
  id: TaskId,
  options?: { readonly after?: EventPlace | undefined }
) => Stream.Stream<StoredEvent, WatchError>

type Open = HttpApiClient.ForApi<typeof Api>["tasks"]["tree"]

const connect = (open: Open, id: TaskId, after: EventPlace | undefined) =>
  open({
    params: { id },
    query: {},
    headers: after === undefined ? {} : { "last-event-id": after },
    responseMode: "response-only"
  })

/** The cursor is the terminal event of the task. */
const isEnd = (error: WatchError) => HttpClientError.isHttpClientError(error) && error.response?.status === 204

export const make = (open: Open): WatchTree => (id, options) =>
  EndlessWatch.make({
    open: (after: EventPlace | undefined) => connect(open, id, after),
    frame: PlaceFrame,
    toItem: ({ data, id }, now) => toStored(id.seq, data, now),
    cursorOf: placeOf,
    seqOf: ({ seq }) => seq
  })(options?.after).pipe(
    Stream.takeUntil(({ event }) => isTerminal(event) && taskIdOf(event) === id),
    Stream.catchIf(isEnd, () => Stream.empty)
  )

/** Fails if the server refuses to show the events after a place. */
export const check = (open: Open, id: TaskId, after: EventPlace | undefined): Effect.Effect<void, WatchError> =>
  Effect.flatMap(connect(open, id, after), (response) => {
    if (response.status === 204) return Effect.void
    // The first bytes come at once. Leaving the stream closes the connection.
    return response.status === 200 ? Effect.asVoid(Stream.runHead(response.stream)) : refused(response)
  })
