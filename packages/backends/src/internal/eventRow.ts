/**
 * The rows of event logs: as statements write them, and as a page of a log is read.
 */
import * as EventPayload from "@perennial/domain/EventPayload"
import { ConversationId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import type { Fence } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Schema } from "effect"
import { decodeRows, Millis } from "./sqlRows.ts"

/** An event, and the claim under which it is written. */
export interface EventRow extends Fence {
  readonly seq: number
  readonly at: number
  readonly payload: string
}

export const toEventRows = (
  { taskId, token }: Fence,
  events: ReadonlyArray<StoredEvent>
): ReadonlyArray<EventRow> =>
  events.map(({ at, event, seq }) => ({ taskId, token, seq, at, payload: EventPayload.encode(event) }))

/** The task of a page. */
const PageTask = Schema.Struct({
  last_seq: Schema.Int,
  status: TaskStatus,
  pruned: Schema.Int,
  conversation_id: ConversationId
})

/** An event of a page. A page without events is one row without an event. */
const PageEvent = Schema.Struct({
  seq: Schema.NullOr(Schema.Int),
  at: Schema.NullOr(Millis),
  payload: Schema.NullOr(Schema.String)
})

export const decodePageTasks = decodeRows(PageTask)
export const decodePageEvents = decodeRows(PageEvent)

type PageEvent = typeof PageEvent.Type

/** The events of a page. */
export const toStoredEvents = (
  rows: ReadonlyArray<PageEvent>,
  ids: EventPayload.EventIds
): ReadonlyArray<StoredEvent> =>
  rows.flatMap(({ at, payload, seq }) =>
    seq === null || payload === null ? [] : [{ seq, at: Number(at), event: EventPayload.decode(payload, ids) }]
  )
