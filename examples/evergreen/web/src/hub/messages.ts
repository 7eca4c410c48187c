/** What tabs and the hub tell each other. */
import type { NumberedEvent } from "@perennial/http/EventReader"
import type { ListedTask } from "../api.ts"

/** All that a tab wants. Each wish replaces the one before. */
export interface Wish {
  /** The tab wants news: it is seen, or may notify the person. */
  readonly visible: boolean
  /** The tasks whose events the tab shows, each with the seq that the tab has. */
  readonly follows: ReadonlyArray<{ readonly taskId: string; readonly after: number }>
  /** The name of a lock that the tab holds while it lives. */
  readonly lock: string
  /** The tab is closed. */
  readonly bye?: boolean
}

export type News =
  | { readonly type: "snapshot" | "changes"; readonly tasks: ReadonlyArray<ListedTask> }
  | { readonly type: "events"; readonly taskId: string; readonly events: ReadonlyArray<NumberedEvent> }
  /** No event of the task will follow: the task has ended, or the server refuses to show its events. */
  | { readonly type: "ended"; readonly taskId: string; readonly refused?: string | undefined }
  | { readonly type: "connected"; readonly connected: boolean }
  /** The server wants another credential. */
  | { readonly type: "refused"; readonly status: number }
