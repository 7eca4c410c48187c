/** A task of the conversation that the tab shows: its record, and what its events have told so far. */
import * as TaskView from "@perennial/domain/TaskView"
import type * as api from "../api.ts"
import type { PlacedEvent } from "../hub/messages.ts"

export interface Live {
  readonly task: api.ListedTask
  readonly view: TaskView.TaskView
  readonly attempt: number
  /** Milliseconds: when the execution began; before, when the task was accepted. */
  readonly startedAt: number
  /** Milliseconds: when the model is asked again, while `view.retry` is there. */
  readonly retriesAt: number
  /** What was asked, if this tab asked it: a message that waits is in no list of messages yet. */
  readonly asked: { readonly text: string; readonly files: api.Start["files"] } | undefined
  /** The stored messages show all that the task said. Of the task itself only its end is shown. */
  readonly isOver: boolean
}

/** A message that the server has not accepted yet. It is sent again until the server answers. */
export interface Pending {
  readonly key: string
  readonly text: string
  readonly files: api.Start["files"]
}

export const isGoing = ({ view }: Live): boolean => view.status === "queued" || view.status === "running"

/** A task whose events come. */
export const accepted = (task: api.ListedTask, asked?: Live["asked"]): Live => ({
  task,
  view: TaskView.empty,
  attempt: task.attempt,
  startedAt: Date.parse(task.createdAt),
  retriesAt: 0,
  asked,
  isOver: false
})

/** A task that has ended before anybody looked: its record says how. */
export const over = (task: api.ListedTask): Live => ({
  ...accepted(task),
  view: {
    ...TaskView.empty,
    cursor: task.lastSeq,
    status: task.status,
    ...task.error === undefined
      ? {}
      : { error: { error: task.error.code, detail: task.error.detail, retryable: false } }
  },
  isOver: true
})

/** The record of a task whose first event is faster than the feed. */
export const taskOf = ({ at, event, taskId }: PlacedEvent, conversationId: string): api.ListedTask => {
  const createdAt = new Date(at).toISOString()
  const agentId = "agentId" in event ? String(event.agentId) : ""
  return {
    id: taskId,
    conversationId,
    agentId,
    status: "queued",
    attempt: 0,
    lastSeq: 1,
    createdAt,
    updatedAt: createdAt
  }
}

/**
 * The feed may be faster than the events. Only a task that was removed before it began is over without its events: of the others
 * the events bring the answer, and then the end.
 */
const statusBefore = ({ startedAt, status }: api.ListedTask): api.Status =>
  status === "queued" || (status === "cancelled" && startedAt === undefined) ? status : "running"

export const withTask = (live: Live, task: api.ListedTask): Live => ({
  ...live,
  task,
  view: live.view.cursor === 0 ? { ...live.view, status: statusBefore(task) } : live.view
})

export const withEvents = (live: Live, events: ReadonlyArray<PlacedEvent>): Live => {
  let { attempt, retriesAt, startedAt, view } = live
  for (const { at, event, seq } of events) {
    if (seq <= view.cursor) continue
    view = TaskView.apply(view, { seq, at, event })
    if (event.type === "started" || event.type === "resumed") attempt = event.attempt
    if (event.type === "started") startedAt = at
    if (event.type === "retry") retriesAt = at + event.delayMillis
  }
  return { ...live, view, attempt, retriesAt, startedAt }
}
