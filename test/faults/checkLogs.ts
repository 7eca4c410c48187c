/**
 * P1 to P5: what was accepted is kept, each log is whole and ends once, and each reader saw exactly the log.
 */
import { terminalStatus } from "@perennial/domain/TaskEvent"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { type Kept, type Observed, type Reading, toData, type Violation } from "./observed.ts"

/** P1: every accepted task is kept; a start that was repeated made no second one. */
export const accepted = ({ accepted, kept }: Observed): ReadonlyArray<Violation> => {
  const stored = new Set(kept.map(({ task }): string => task.id))
  const told = new Set(accepted.map(({ taskId }) => taskId))
  return [
    ...accepted.filter(({ taskId }) => !stored.has(taskId))
      .map(({ taskId }) => ({ promise: "P1", what: `task ${taskId} was accepted and is not in the store` })),
    ...kept.filter(({ task }) => !told.has(task.id))
      .map(({ task }) => ({ promise: "P1", what: `nobody was told of task ${task.id}, which is in the store` }))
  ]
}

const wholeLog = ({ log, task }: Kept): ReadonlyArray<Violation> => {
  if (log.length === 0) return [{ promise: "P1", what: `the log of task ${task.id}, which is ${task.status}, is gone` }]
  const violations: Array<Violation> = []
  const gap = log.findIndex(({ seq }, i) => seq !== i + 1)
  if (gap >= 0) {
    violations.push({ promise: "P3", what: `task ${task.id} has event ${log[gap]?.seq} at place ${gap + 1}` })
  }
  if (log[0]?.event.type !== "ack") violations.push({ promise: "P1", what: `task ${task.id} does not begin with ack` })
  const foreign = log.find(({ event }) => event.type === "unknown" || event.taskId !== task.id)
  if (foreign !== undefined) {
    violations.push({ promise: "P3", what: `event ${foreign.seq} of task ${task.id} is another task's` })
  }
  return violations
}

const end = ({ log, task }: Kept, ends: ReadonlyArray<string>): ReadonlyArray<Violation> => {
  const terminals = log.flatMap(({ event }) => TaskEvent.isTerminal(event) ? [event] : [])
  const [terminal, second] = terminals
  if (terminal === undefined) return [{ promise: "P8", what: `task ${task.id} has not ended: it is ${task.status}` }]
  const violations: Array<Violation> = []
  if (second !== undefined) {
    violations.push({ promise: "P4", what: `task ${task.id} has ${terminals.length} terminal events` })
  }
  if (log.at(-1)?.event !== terminals.at(-1)) {
    violations.push({ promise: "P4", what: `task ${task.id} has events after its terminal one` })
  }
  if (terminalStatus(terminal) !== task.status) {
    violations.push({
      promise: "P4",
      what: `task ${task.id} is ${task.status}, and its log ends with ${terminal.type}`
    })
  }
  // Whether it was right to give it up is a check of its own.
  if (!ends.includes(terminal.type) && !(terminal.type === "error" && terminal.error === "CrashLoop")) {
    const detail = terminal.type === "error" ? ` (${terminal.error}: ${terminal.detail})` : ""
    violations.push({
      promise: "P8",
      what: `task ${task.id} ended with ${terminal.type}${detail} instead of ${ends.join(" or ")}`
    })
  }
  return violations
}

/** P3, P4, P8: each log is 1, 2, 3 ... and has one terminal event, the last one, that agrees with the status. */
export const logs = ({ accepted, kept }: Observed): ReadonlyArray<Violation> => {
  const ends = new Map(accepted.map(({ ends, taskId }) => [taskId, ends]))
  // A log that is gone says nothing about its end.
  return kept.flatMap((one) => [
    ...wholeLog(one),
    ...one.log.length === 0 ? [] : end(one, ends.get(one.task.id) ?? [])
  ])
}

const wrong = ({ seen }: Reading, i: number, due: number): string => {
  if (seen.findIndex(({ id }) => id === seen[i]?.id) < i) return "duplicated"
  return seen.slice(i).some(({ id }) => id === due) ? "reordered" : "lost"
}

const reading = (one: Reading, log: Kept["log"]): ReadonlyArray<Violation> => {
  const who = `reader ${one.reader} of task ${one.taskId}`
  for (const [i, { data, id }] of one.seen.entries()) {
    const due = one.after + 1 + i
    if (id !== due) {
      return [{ promise: "P3", what: `${who} saw event ${id} where ${due} was due: ${wrong(one, i, due)}` }]
    }
    const kept = log[id - 1]
    // P5: what a reader has seen is in the log for good.
    if (kept === undefined) return [{ promise: "P5", what: `${who} saw event ${id}, which the log does not have` }]
    if (toData(kept) !== data) {
      return [{ promise: "P5", what: `${who} saw event ${id} as ${data}; the log has ${toData(kept)}` }]
    }
  }
  const seen = one.after + one.seen.length
  return one.ended && seen === log.length
    ? []
    : [{ promise: "P3", what: `${who} was left after event ${seen} of ${log.length}` }]
}

/** P3, P5: each reader saw each event after its cursor once, in order, as the log has it, up to the end. */
export const readings = ({ kept, readings }: Observed): ReadonlyArray<Violation> => {
  const logs = new Map(kept.map(({ log, task }): [string, Kept["log"]] => [task.id, log]))
  return readings.flatMap((one) => reading(one, logs.get(one.taskId) ?? []))
}

/** P2: the tasks of a conversation ran one after the other. */
export const conversations = ({ kept }: Observed): ReadonlyArray<Violation> => {
  const begun = kept.flatMap(({ log, task }) => {
    const started = log.find(({ event }) => event.type === "started")
    return started === undefined ? [] : [{ task, from: started.at, to: log.at(-1)?.at ?? Infinity }]
  })
  return [...Map.groupBy(begun, ({ task }) => task.conversationId).values()].flatMap((tasks) => {
    const sorted = tasks.toSorted((a, b) => a.from - b.from)
    return sorted.flatMap((one, i) => {
      const before = sorted[i - 1]
      return before === undefined || before.to <= one.from
        ? []
        : [{ promise: "P2", what: `task ${one.task.id} began before ${before.task.id} of its conversation had ended` }]
    })
  })
}

/** P10: a conversation holds the messages of its tasks' logs, each once, in order. */
export const messages = ({ kept, messages }: Observed): ReadonlyArray<Violation> => {
  const due = kept.flatMap(({ log, task }) => {
    const began = log.find(({ event }) => event.type === "started")
    if (began === undefined) return []
    const carriers = log.filter(({ event }) =>
      event.type === "ack" || event.type === "message" || event.type === "tool_result"
    )
    return [{ conversation: task.conversationId, at: began.at, ids: carriers.map(({ seq }) => `${task.id}/${seq}`) }]
  })
  return [...Map.groupBy(due, ({ conversation }) => conversation)].flatMap(([conversation, tasks]) => {
    const expected = tasks.toSorted((a, b) => a.at - b.at).flatMap(({ ids }) => ids)
    const found = messages.get(conversation)?.map(({ id }): string => id) ?? []
    const i = expected.findIndex((id, i) => found[i] !== id)
    if (i < 0 && found.length === expected.length) return []
    const at = i < 0 ? expected.length : i
    const what = `conversation ${conversation} has message ${found[at]} where ${expected[at]} was due`
    return [{ promise: "P10", what }]
  })
}
