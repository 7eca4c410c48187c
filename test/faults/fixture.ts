/**
 * A small fault run in which everything was right, to be changed.
 */
import { assert } from "@effect/vitest"
import { ConversationId, messageId, TaskId } from "@perennial/domain/Ids"
import type { AgentEvent, StoredEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import { check } from "./checker.ts"
import type { Entry } from "./ledger.ts"
import { type Accepted, type Observed, type Seen, toData } from "./observed.ts"
import { word } from "./plan.ts"

const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
const usage = Usage.zero

type Body =
  | AgentEvent
  | { readonly type: "ack" }
  | { readonly type: "started"; readonly attempt: number }
  | {
    readonly type: "resumed"
    readonly attempt: number
    readonly discardAfter: number
  }
  | { readonly type: "done" }
  | { readonly type: "cancelled" }
  | { readonly type: "error"; readonly error: string; readonly detail: string; readonly retryable: boolean }

const stored = (body: Body, i: number): StoredEvent => ({
  seq: i + 1,
  at: 1_000 + 10 * i,
  // Each body is an event without what all events have.
  event: {
    ...body,
    ...ids,
    ...(body.type === "ack" ? { messageId: messageId(ids.taskId, 1) } : body.type === "done" ? { usage } : {})
  } as StoredEvent["event"]
})

export const said = (pid: number, step: number, n: number): ReadonlyArray<Body> =>
  Array.from({ length: n }, (_, i) => ({ type: "text", content: word(pid, step, i, n) }))

const answer = (pid: number, step: number, n: number): Body => ({
  type: "message",
  message: {
    role: "assistant",
    content: [{ type: "text", text: Array.from({ length: n }, (_, i) => word(pid, step, i, n)).join("") }]
  },
  usage
})

const call = { tool: "pay", toolCallId: "call" }

/** Process 1 says an answer and enters a tool; it dies at 1050, and process 2 goes on at 1060. */
export const bodies: ReadonlyArray<Body> = [
  { type: "ack" },
  { type: "started", attempt: 1 },
  ...said(1, 0, 2),
  answer(1, 0, 2),
  { type: "tool_call", ...call, args: {}, status: "executing" },
  { type: "resumed", attempt: 2, discardAfter: 5 },
  { type: "tool_result", ...call, result: {}, status: "interrupted" },
  ...said(2, 1, 2),
  answer(2, 1, 2),
  { type: "done" }
]

export const ledger: ReadonlyArray<Entry> = [
  { at: 1_010, pid: 1, taskId: "t1", type: "claimed", attempt: 1 },
  { at: 1_011, pid: 1, taskId: "t1", type: "asked", attempt: 1, step: 0 },
  { at: 1_051, pid: 1, taskId: "t1", type: "entered", attempt: 1, tool: "pay", call: "call" },
  { at: 1_060, pid: 2, taskId: "t1", type: "claimed", attempt: 2 },
  { at: 1_071, pid: 2, taskId: "t1", type: "asked", attempt: 2, step: 1 },
  { at: 1_111, pid: 2, taskId: "t1", type: "finished" }
]

export const accepted = (taskId: string): Accepted => ({
  taskId,
  ends: ["done"],
  undisturbed: false,
  plan: { words: 2, drip: 2, steps: [[{ tool: "pay", millis: 1 }]] }
})

const see = (log: ReadonlyArray<StoredEvent>): Array<Seen> =>
  log.map((stored) => ({ id: stored.seq, data: toData(stored) }))

export interface Change {
  readonly bodies?: ReadonlyArray<Body>
  readonly see?: (seen: Array<Seen>) => Array<Seen>
  readonly ended?: boolean
  readonly observed?: (observed: Observed) => Observed
}

/** A run in which everything was right, but for the change. */
export const observe = (change: Change = {}): Observed => {
  const log = (change.bodies ?? bodies).map(stored)
  const carriers = new Set(["ack", "message", "tool_result"])
  const observed: Observed = {
    accepted: [accepted("t1")],
    cancels: [],
    readings: [{
      reader: "r1",
      taskId: "t1",
      after: 0,
      seen: (change.see ?? ((seen) => seen))(see(log)),
      connections: 1,
      ended: change.ended ?? true
    }],
    faceReadings: [],
    kept: [{ task: { id: ids.taskId, conversationId: ids.conversationId, status: "completed" }, log }],
    messages: new Map([[
      "c1",
      log.filter(({ event }) => carriers.has(event.type)).map(({ seq }) => ({ id: messageId(ids.taskId, seq) }))
    ]]),
    ledger,
    deaths: [{ pid: 1, at: 1_055, how: "killed" }],
    lives: [1, 2, 3].map((pid) => ({
      pid,
      from: 900,
      clockAhead: 0,
      freshBytes: 100 * 2 ** 20,
      largestBytes: 150 * 2 ** 20
    })),
    outages: [],
    absences: [{ from: 0, to: 900 }],
    leaseMillis: 3_000,
    capacity: 1,
    growthBytes: 100 * 2 ** 20,
    restarts: 0,
    refusals: 0,
    content: { accepted: 0, refused: 0 },
    proxies: [{ connections: 0, cut: 0, halfOpen: 0 }],
    slow: [],
    cuts: [],
    least: {}
  }
  return (change.observed ?? ((same) => same))(observed)
}

/** The same run, whose readers saw the logs as they are now. */
export const reread = (observed: Observed): Observed => ({
  ...observed,
  readings: observed.readings.map((one) => ({
    ...one,
    seen: see(observed.kept.find(({ task }) => task.id === one.taskId)?.log ?? [])
  }))
})

export const found = (change: Change) => check(observe(change)).map(({ promise }) => promise)

export const assertCaught = (promise: string, what: RegExp, change: Change) => {
  const violations = check(observe(change))
  assert.isTrue(
    violations.some((violation) => violation.promise === promise && what.test(violation.what)),
    JSON.stringify(violations)
  )
}

export const ledgerWith = (...more: ReadonlyArray<Entry>): Change => ({
  observed: (observed) => ({ ...observed, ledger: [...ledger, ...more] })
})

export const shifted = (entries: ReadonlyArray<Entry>, millis: number): ReadonlyArray<Entry> =>
  entries.map((entry) => Object.assign({}, entry, { at: entry.at + millis }))

export const later = (millis: number): Change => ({
  observed: (observed) => ({
    ...observed,
    ledger: [
      ...ledger.filter(({ pid }) => pid === 1),
      ...shifted(ledger.filter(({ pid }) => pid === 2), millis)
    ]
  })
})
