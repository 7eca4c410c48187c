/**
 * What the ledger says of owners: who had which task, from when, until when.
 */
import type { Entry, Of } from "./ledger.ts"
import type { Observed } from "./observed.ts"
import type { Death } from "./world.ts"

/** What a process did to a task, from its claim to the end of its part. */
export interface Tenure {
  readonly claim: Of<"claimed">
  /** When it ended the task or gave it up. */
  left: Of<"finished"> | Of<"released"> | undefined
  next: Of<"claimed"> | undefined
}

/** In the order in which they began. */
export const tenures = (ledger: ReadonlyArray<Entry>): ReadonlyArray<Tenure> => {
  const all: Array<Tenure> = []
  const current = new Map<string, Tenure>()
  /** The last one of each process: the next owner may be written down before this one's end is. */
  const own = new Map<string, Tenure>()
  for (const entry of ledger.toSorted((a, b) => a.at - b.at)) {
    const key = `${entry.taskId} ${entry.pid}`
    if (entry.type === "claimed") {
      const tenure = current.get(entry.taskId)
      // Written late, by a process that was frozen between the claim and this line: when it claimed is not known.
      if (tenure !== undefined && tenure.claim.attempt > entry.attempt) continue
      if (tenure !== undefined) tenure.next = entry
      const next: Tenure = { claim: entry, left: undefined, next: undefined }
      current.set(entry.taskId, next)
      own.set(key, next)
      all.push(next)
    } else if (entry.type === "finished" || entry.type === "released") {
      const tenure = own.get(key)
      if (tenure !== undefined) tenure.left ??= entry
    }
  }
  return all
}

/** Whether a process that could not work may go on. */
export const isPause = ({ how }: Death): boolean => how === "frozen" || how === "cutOff"

/** When a process stopped for good, by itself or not. */
export const goneAt = ({ deaths }: Observed, pid: number): number => {
  const death = deaths.find((one) => one.pid === pid && !isPause(one))
  return death === undefined ? Infinity : death.gone ?? death.at
}

/** From when to when a tenure took a place of its process. */
export const occupied = (observed: Observed, { claim, left, next }: Tenure) => ({
  from: claim.at,
  to: Math.min(left?.at ?? Infinity, next?.at ?? Infinity, goneAt(observed, claim.pid))
})
