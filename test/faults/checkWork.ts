/**
 * P9 and P10: each stretch of a log is the work of the one process that owned the task then, finished work was not
 * repeated, and all of it was done.
 */
import * as Message from "@perennial/domain/Message"
import { ofType } from "./ledger.ts"
import type { Kept, Observed, Violation } from "./observed.ts"
import { toWords, type Word } from "./plan.ts"

type Claims = ReadonlyMap<string, number>
const claimKey = (taskId: string, attempt: number) => `${taskId} ${attempt}`

/** P9: no two owners had the same right. */
export const claims = ({ ledger }: Observed): ReadonlyArray<Violation> =>
  [...Map.groupBy(ofType(ledger, "claimed"), ({ attempt, taskId }) => claimKey(taskId, attempt)).values()].flatMap(
    ([first, second]) =>
      first === undefined || second === undefined ? [] : [{
        promise: "P9",
        what: `processes ${first.pid} and ${second.pid} both claimed task ${first.taskId} for attempt ${first.attempt}`
      }]
  )

/** Walks along a log with what is known at each event: whose stretch it is and which words it has said so far. */
const walk = ({ log, task }: Kept, claims: Claims): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  let attempt = 0
  let owner: number | undefined
  let said: Array<Word | undefined> = []
  let steps = 0
  for (const { event, seq } of log) {
    const where = `event ${seq} of task ${task.id}`
    switch (event.type) {
      case "started":
      case "resumed":
        if (!claims.has(claimKey(task.id, event.attempt))) {
          violations.push({ promise: "P9", what: `${where} begins attempt ${event.attempt}, which nobody claimed` })
        }
        if (event.attempt <= attempt) {
          violations.push({ promise: "P9", what: `${where} has attempt ${event.attempt} after ${attempt}` })
        }
        attempt = event.attempt
        owner = claims.get(claimKey(task.id, attempt))
        said = []
        break
      case "text":
        for (const word of toWords(event.content)) {
          owner ??= word?.pid
          if (word?.pid !== owner) {
            violations.push({ promise: "P9", what: `${where} was written by ${word?.pid} while ${owner} owned it` })
          }
          said.push(word)
        }
        break
      case "message": {
        if (event.partial !== true) {
          violations.push(...whole(said, steps, where))
          const text = toWords(Message.text(event.message))
          if (JSON.stringify(text) !== JSON.stringify(said)) {
            violations.push({ promise: "P3", what: `${where} does not say what the text events before it say` })
          }
        }
        steps++
        said = []
        break
      }
      default:
    }
  }
  return violations
}

/** An answer has each of its words once and in order. */
const whole = (said: ReadonlyArray<Word | undefined>, step: number, where: string): ReadonlyArray<Violation> => {
  const n = said[0]?.n ?? 0
  const wrong = said.length !== n || said.some((word, i) => word?.step !== step || word.i !== i)
  return wrong ? [{ promise: "P3", what: `${where} completes step ${step}, whose words are not 0 to ${n - 1}` }] : []
}

/** P9, P3: every stretch of every log is one owner's, and says what that owner said. */
export const stretches = ({ kept, ledger }: Observed): ReadonlyArray<Violation> => {
  const claims = new Map(
    ofType(ledger, "claimed").map(({ attempt, pid, taskId }) => [claimKey(taskId, attempt), pid])
  )
  return kept.flatMap((one) => walk(one, claims))
}

interface Progress {
  /** The attempt in which each answer, and each result of a tool, was finished. */
  readonly answers: ReadonlyArray<number>
  readonly results: ReadonlyMap<string, number>
  /** `<call> <attempt>` of every `tool_call`. */
  readonly calls: ReadonlySet<string>
  readonly violations: ReadonlyArray<Violation>
}

const progress = ({ log, task }: Kept): Progress => {
  const answers: Array<number> = []
  const results = new Map<string, number>()
  const calls = new Set<string>()
  const open = new Set<string>()
  const violations: Array<Violation> = []
  let attempt = 0
  for (const { event } of log) {
    if (event.type === "started" || event.type === "resumed") attempt = event.attempt
    if (event.type === "message") answers.push(attempt)
    if (event.type === "tool_call") {
      calls.add(`${event.toolCallId} ${attempt}`)
      open.add(event.toolCallId)
    }
    if (event.type === "tool_result") {
      if (results.has(event.toolCallId)) {
        violations.push({ promise: "P10", what: `call ${event.toolCallId} of task ${task.id} has two results` })
      }
      results.set(event.toolCallId, attempt)
      open.delete(event.toolCallId)
    }
  }
  for (const call of open) violations.push({ promise: "P7", what: `call ${call} of task ${task.id} has no result` })
  return { answers, results, calls, violations }
}

/** P10: no finished answer was asked for again, no finished tool entered again, and none unsafe entered twice. */
export const work = ({ kept, ledger }: Observed): ReadonlyArray<Violation> => {
  const byTask = new Map(kept.map((one): [string, Progress] => [one.task.id, progress(one)]))
  const violations = [...byTask.values()].flatMap(({ violations }) => violations)
  const asked = new Set<string>()
  for (const { attempt, step, taskId } of ofType(ledger, "asked")) {
    const answered = byTask.get(taskId)?.answers[step]
    const once = `${claimKey(taskId, attempt)} ${step}`
    if (asked.has(once)) {
      violations.push({ promise: "P10", what: `answer ${step} of task ${taskId} was asked for twice in one attempt` })
    }
    asked.add(once)
    if (answered !== undefined && attempt > answered) {
      violations.push({
        promise: "P10",
        what: `answer ${step} of task ${taskId} was asked for again after it was kept`
      })
    }
  }
  const entered = new Set<string>()
  for (const { attempt, call, taskId, tool } of ofType(ledger, "entered")) {
    const done = byTask.get(taskId)?.results.get(call)
    if (done !== undefined && attempt > done) {
      violations.push({ promise: "P10", what: `call ${call} of task ${taskId} was entered again after its result` })
    }
    if (byTask.get(taskId)?.calls.has(`${call} ${attempt}`) === false) {
      violations.push({ promise: "P10", what: `call ${call} of task ${taskId} was entered before that was kept` })
    }
    const once = tool === "pay" ? call : `${call} ${attempt}`
    if (entered.has(once)) {
      violations.push({ promise: "P10", what: `call ${call} of task ${taskId} (${tool}) ran twice` })
    }
    entered.add(once)
  }
  return violations
}

/** P3, P10: a task that completed did all that it was to do: each step of its plan, and the answer after the last one. */
export const plans = ({ accepted, kept }: Observed): ReadonlyArray<Violation> => {
  const byTask = new Map(accepted.map(({ plan, taskId }) => [taskId, plan]))
  return kept.flatMap(({ log, task }): ReadonlyArray<Violation> => {
    const plan = byTask.get(task.id)
    if (plan === undefined || task.status !== "completed") return []
    const answers = log.flatMap(({ event }) => event.type === "message" ? [event] : [])
    const calls = log.filter(({ event }) => event.type === "tool_result").length
    const steps = plan.steps.length + 1
    const due = plan.steps.reduce((sum, step) => sum + step.length, 0)
    const words = answers.map(({ message }) => toWords(Message.text(message)).length)
    if (answers.length === steps && calls === due && words.every((n) => n === plan.words)) return []
    return [{
      promise: "P10",
      what: `task ${task.id} completed with ${words.join("+")} words and ${calls} results of tools; ` +
        `its plan has ${steps} x ${plan.words} and ${due}`
    }]
  })
}
