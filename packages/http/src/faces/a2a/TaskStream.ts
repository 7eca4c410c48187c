/**
 * A stream of A2A: a snapshot of the task, then the updates after it. A pure fold.
 *
 * @since 0.1.0
 */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { draftText, hasEnded, type Head, initial, isPaused, type State, toObject } from "./A2aTask.ts"
import { step, type Update } from "./TaskUpdates.ts"

/**
 * What a stream is for, which decides where it begins and ends.
 *
 * `message`: it answers a message that started the task, and ends where the task has ended or waits for a person. `decision`: it
 * answers a message that decided, and begins when the task goes on. `subscription`: it does not end where a task already waits.
 *
 * @since 0.1.0
 * @category models
 */
export type Purpose = "message" | "decision" | "subscription"

/**
 * A stream as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly state: State
  /** Whether the snapshot was sent. */
  readonly begun: boolean
}

/**
 * One more event of a stream, which is given all events of the task from the first. The stream begins with a snapshot of the task:
 * not before the event `after`. The updates of later events follow, without a gap and without an overlap.
 *
 * @since 0.1.0
 * @category combinators
 */
export const follow = (
  head: Head,
  { after, purpose }: { readonly after: number; readonly purpose: Purpose },
  progress: Progress,
  stored: StoredEvent
): { readonly progress: Progress; readonly updates: ReadonlyArray<Update>; readonly isLast: boolean } => {
  const { state, updates } = step(head, progress.state, stored)
  const pauses = state.pausedAt === stored.seq
  if (progress.begun) return { progress: { state, begun: true }, updates, isLast: hasEnded(state) || pauses }
  const waits = isPaused(state)
  const isDue = purpose === "decision" ? stored.seq > after && (!waits || pauses) : stored.seq >= after
  if (!isDue) return { progress: { state, begun: false }, updates: [], isLast: false }
  // The client has the draft of the snapshot, unless it is empty.
  const begun = { ...state, shown: draftText(state) !== "" }
  return {
    progress: { state: begun, begun: true },
    updates: [{ task: toObject(head, begun) }],
    isLast: hasEnded(state) || (waits && purpose !== "subscription")
  }
}

/**
 * Before the first event of a stream.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unbegun: Progress = { state: initial, begun: false }
