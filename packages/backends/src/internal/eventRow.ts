/**
 * The rows of event logs: as statements write them, and as a page of a log is read.
 */
import { TaskStatus } from "@perennial/domain/Task"
import type { Fence } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Schema } from "effect"
import { encodeEvent } from "./eventPayload.ts"
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
  events.map(({ at, event, seq }) => ({ taskId, token, seq, at, payload: encodeEvent(event) }))

/** A task, and an event of its log. A task whose page is empty is one row without an event. */
const PageRow = Schema.Struct({
  last_seq: Schema.Int,
  status: TaskStatus,
  pruned: Schema.Int,
  seq: Schema.NullOr(Schema.Int),
  at: Schema.NullOr(Millis),
  payload: Schema.NullOr(Schema.String)
})

export const readPage = decodeRows(PageRow)
