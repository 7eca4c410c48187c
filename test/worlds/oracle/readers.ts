/** Each reader saw the log: every event once, in order, and none that was not durable (P3, P5). What a process holds for it is bounded (P6). */
import { isTerminal } from "@perennial/domain/Task"
import { Equal } from "effect"
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

/** What a process holds of a log for its readers at most, as `size` counts it: 64 batches of 64 KiB in a hub. */
const maxHeld = 64 * 64 * 1024

export const checkReaders = ({ deleted, history, open, tasks }: Observed, broken: Broken): void => {
  for (const { backwards, copies, early, failures, gone, largest, seen, short, taskId } of history.readings) {
    const kept = tasks.get(taskId)
    const log = kept?.log ?? []
    if (backwards > 0) {
      broken("P3", `a reader of ${taskId} was told ${backwards} times that the log had ended earlier`, taskId)
    }
    if (failures.length > 0) broken("P3", `connections of a reader of ${taskId} failed: ${failures.join()}`, taskId)
    if (short > 0) broken("P3", `${short} streams of ${taskId} ended before its terminal event`, taskId)
    if (early > 0) broken("P5", `a reader of ${taskId} saw ${early} events before they were durable`, taskId)
    if (largest > maxHeld) broken("P6", `a reader of ${taskId} got ${largest} bytes at once`, taskId)
    if (gone && !deleted.has(taskId)) broken("P3", `a reader was told that ${taskId} does not exist`, taskId)
    // In process, stores and hubs pass on the objects that were appended.
    const wrong = seen.findIndex((stored, i) =>
      copies ? stored.seq !== i + 1 || !Equal.equals(stored.event, log[i]?.event) : stored !== log[i]
    )
    if (wrong >= 0) {
      broken("P3", `a reader of ${taskId} saw event ${seen[wrong]?.seq} in place of event ${wrong + 1}`, taskId)
    } else if (
      seen.length < log.length && !gone && open.length === 0 && kept !== undefined && isTerminal(kept.task.status)
    ) {
      broken("P3", `a reader of ${taskId} saw ${seen.length} of ${log.length} events`, taskId)
    }
  }
}
