/**
 * P3: programs that read through faces show what the store has. P6: readers that stall get everything once they read again, slow
 * nobody meanwhile, and servers stay small.
 */
import * as Message from "@perennial/domain/Message"
import type { Observed, Violation } from "./observed.ts"

const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20)

/** A program shows the text of all messages of its task, and has got nothing twice. */
export const faces = ({ faceReadings, kept }: Observed): ReadonlyArray<Violation> =>
  faceReadings.flatMap(({ problems, reader, shown, taskId }) => {
    const log = kept.find(({ task }) => task.id === taskId)?.log ?? []
    const due = log.map(({ event }) => event.type === "message" ? Message.text(event.message) : "").join("")
    const wrong = shown === undefined
      ? ["it was left without the end"]
      : shown === due
      ? []
      : [`it shows ${JSON.stringify(shown)}; the log has ${JSON.stringify(due)}`]
    return [...problems, ...wrong].map((what) => ({ promise: "P3", what: `${reader} of task ${taskId}: ${what}` }))
  })

/** The task of a reader that stalls ends while it stalls; afterwards the reader is told of each event, to the end. */
export const stalls = ({ kept, readings }: Observed): ReadonlyArray<Violation> => {
  const logs = new Map(kept.map(({ log, task }): [string, typeof log] => [task.id, log]))
  return readings.flatMap(({ after, ended, reader, seen, stalled, taskId }) => {
    if (stalled === undefined) return []
    const log = logs.get(taskId) ?? []
    const who = `reader ${reader} of task ${taskId}`
    const violations: Array<Violation> = []
    if ((log.at(-1)?.at ?? Infinity) > stalled.until) {
      violations.push({ promise: "P6", what: `${who} stalled, and the task did not end before it read again` })
    }
    if (!ended || after + seen.length !== log.length) {
      violations.push({
        promise: "P6",
        what: `${who} stalled, and then got ${seen.length} of ${log.length - after} events`
      })
    }
    return violations
  })
}

/** The most that the resident memory of a process grew by. */
export const largestGrowth = ({ lives }: Observed): number =>
  Math.max(0, ...lives.map(({ freshBytes, largestBytes }) => largestBytes - freshBytes))

/** No server grew by more than is allowed. */
export const memory = ({ growthBytes, lives }: Observed): ReadonlyArray<Violation> =>
  lives.flatMap(({ freshBytes, largestBytes, pid }) =>
    largestBytes - freshBytes <= growthBytes ? [] : [{
      promise: "P6",
      what: `process ${pid} grew from ${mebibytes(freshBytes)} to ${mebibytes(largestBytes)} MiB, ` +
        `by at most ${mebibytes(growthBytes)} it may`
    }]
  )
