/** What tabs and the hub tell each other. */
import type { NumberedEvent } from "@perennial/http/EventReader"
import type { ListedTask } from "../api.ts"

/** The events of a task, or of a conversation: of one task after the other. */
export type Source = `/${"tasks" | "conversations"}/${string}/events`

export const conversationSource = (id: string): Source => `/conversations/${encodeURIComponent(id)}/events`

export const taskSource = (id: string): Source => `/tasks/${encodeURIComponent(id)}/events`

/** `<taskId>/<seq>` of an event: where a reader is. Empty before the first event. */
export type Place = string

export type PlacedEvent = NumberedEvent & { readonly taskId: string }

export const placeOf = ({ seq, taskId }: Pick<PlacedEvent, "taskId" | "seq">): Place => `${taskId}/${seq}`

/** All that a tab wants. Each wish replaces the one before. */
export interface Wish {
  /** The tab wants news: it is seen, or may notify the person. */
  readonly visible: boolean
  /** What the tab shows the events of, each with the place of the last event that the tab has. */
  readonly follows: ReadonlyArray<{ readonly source: Source; readonly after: Place }>
  /** The name of a lock that the tab holds while it lives; empty before the tab has it. */
  readonly lock: string
  /** The tab is closed. */
  readonly bye?: boolean
}

export type News =
  | { readonly type: "snapshot" | "changes"; readonly tasks: ReadonlyArray<ListedTask> }
  | { readonly type: "events"; readonly source: Source; readonly events: ReadonlyArray<PlacedEvent> }
  /** No event will follow: the task has ended, or the server refuses to show the events with a status such as 404. */
  | { readonly type: "ended"; readonly source: Source; readonly refused?: number | undefined }
  | { readonly type: "connected"; readonly connected: boolean }
  /** The server wants another credential. */
  | { readonly type: "refused"; readonly status: number }
