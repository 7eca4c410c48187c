/**
 * Events as the values that statements and scripts take.
 */
import * as EventPayload from "@perennial/domain/EventPayload"
import { isProgress, type NewTask } from "@perennial/domain/TaskBackend"
import { ack, type StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskSummary from "@perennial/domain/TaskSummary"

/** The first event of a task. The store gives it its time. */
export const encodeAck = ({ conversationId, id }: Pick<NewTask, "id" | "conversationId">): string =>
  EventPayload.encode(ack({ id, conversationId, at: 0 }).event)

/** 1 when a task made progress with these events: the earlier deaths of its owners no longer count. */
export const progress = (events: ReadonlyArray<StoredEvent>): number => events.some(isProgress) ? 1 : 0

/** The text of a new summary; empty when the summary stays as it is. */
export const summaryText = (summary: TaskSummary.TaskSummary | undefined): string =>
  summary === undefined ? "" : TaskSummary.encode(summary)

/** 1 when a new summary has calls that wait for a person. */
export const waitingFlag = (summary: TaskSummary.TaskSummary | undefined): number =>
  summary !== undefined && TaskSummary.isWaiting(summary) ? 1 : 0
