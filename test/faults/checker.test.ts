import { assert, describe, it } from "@effect/vitest"
import { ConversationId, messageId, TaskId } from "@perennial/domain/Ids"
import type { AgentEvent, StoredEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import { check } from "./checker.ts"
import type { Entry } from "./ledger.ts"
import { canonical, type Observed, type Seen } from "./observed.ts"
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

const said = (pid: number, step: number, n: number): ReadonlyArray<Body> =>
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
const bodies: ReadonlyArray<Body> = [
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

const ledger: ReadonlyArray<Entry> = [
  { at: 1_010, pid: 1, taskId: "t1", type: "claimed", attempt: 1 },
  { at: 1_011, pid: 1, taskId: "t1", type: "asked", attempt: 1, step: 0 },
  { at: 1_051, pid: 1, taskId: "t1", type: "entered", attempt: 1, tool: "pay", call: "call" },
  { at: 1_060, pid: 2, taskId: "t1", type: "claimed", attempt: 2 },
  { at: 1_071, pid: 2, taskId: "t1", type: "asked", attempt: 2, step: 1 },
  { at: 1_111, pid: 2, taskId: "t1", type: "finished" }
]

const see = (log: ReadonlyArray<StoredEvent>): Array<Seen> =>
  log.map(({ event, seq }) => ({ id: seq, data: canonical(event) }))

interface Change {
  readonly bodies?: ReadonlyArray<Body>
  readonly see?: (seen: Array<Seen>) => Array<Seen>
  readonly ended?: boolean
  readonly observed?: (observed: Observed) => Observed
}

/** A run in which everything was right, but for the change. */
const observe = (change: Change = {}): Observed => {
  const log = (change.bodies ?? bodies).map(stored)
  const carriers = new Set(["ack", "message", "tool_result"])
  const observed: Observed = {
    accepted: [{ taskId: "t1", ends: ["done"] }],
    readings: [{
      reader: "r1",
      taskId: "t1",
      after: 0,
      seen: (change.see ?? ((seen) => seen))(see(log)),
      connections: 1,
      ended: change.ended ?? true
    }],
    kept: [{ task: { id: ids.taskId, conversationId: ids.conversationId, status: "completed" }, log }],
    messages: new Map([[
      "c1",
      log.filter(({ event }) => carriers.has(event.type)).map(({ seq }) => ({ id: messageId(ids.taskId, seq) }))
    ]]),
    ledger,
    deaths: [{ pid: 1, at: 1_055, how: "killed" }],
    outages: [],
    leaseMillis: 3_000,
    capacity: 1
  }
  return (change.observed ?? ((same) => same))(observed)
}

const found = (change: Change) => check(observe(change)).map(({ promise }) => promise)

const assertCaught = (promise: string, what: RegExp, change: Change) => {
  const violations = check(observe(change))
  assert.isTrue(
    violations.some((violation) => violation.promise === promise && what.test(violation.what)),
    JSON.stringify(violations)
  )
}

const ledgerWith = (...more: ReadonlyArray<Entry>): Change => ({
  observed: (observed) => ({ ...observed, ledger: [...ledger, ...more] })
})

const later = (millis: number): Change => ({
  observed: (observed) => ({
    ...observed,
    ledger: [
      ...ledger.filter(({ pid }) => pid === 1),
      ...ledger.filter(({ pid }) => pid === 2).map((entry) => Object.assign({}, entry, { at: entry.at + millis }))
    ]
  })
})

describe("the checker of fault runs", () => {
  it("finds nothing where nothing is wrong", () => {
    assert.deepStrictEqual(found({}), [])
  })

  it("P1: an accepted task that is missing, and one that nobody was told of", () => {
    assertCaught("P1", /t2 was accepted and is not in the store/, {
      observed: (observed) => ({ ...observed, accepted: [...observed.accepted, { taskId: "t2", ends: ["done"] }] })
    })
    assertCaught("P1", /nobody was told of task t1/, { observed: (observed) => ({ ...observed, accepted: [] }) })
  })

  it("P2: two tasks of a conversation at once", () => {
    assertCaught("P2", /began before t1/, {
      observed: (observed) => ({
        ...observed,
        accepted: [...observed.accepted, { taskId: "t2", ends: ["done"] }],
        kept: [
          ...observed.kept,
          ...observed.kept.map(({ log, task }) => ({
            task: { ...task, id: TaskId.make("t2") },
            log: log.map(({ at, event, seq }) => ({ seq, at: at + 5, event }))
          }))
        ]
      })
    })
  })

  it("P3: an event that a reader lost, saw twice, or in another order", () => {
    assertCaught("P3", /saw event 4 where 3 was due: lost/, { see: (seen) => seen.toSpliced(2, 1) })
    assertCaught("P3", /saw event 3 where 4 was due: duplicated/, {
      see: (seen) => seen.toSpliced(3, 0, ...seen.slice(2, 3))
    })
    assertCaught("P3", /saw event 4 where 3 was due: reordered/, {
      see: ([one, two, three, four, ...rest]) => [one, two, four, three, ...rest].filter((seen) => seen !== undefined)
    })
  })

  it("P3: a reader that was left behind, or never told of the end", () => {
    assertCaught("P3", /left after event 11 of 12/, { see: (seen) => seen.slice(0, -1) })
    assertCaught("P3", /left after event 12 of 12/, { ended: false })
  })

  it("P3: a log with a gap, and one that holds another task's event", () => {
    assertCaught("P3", /has event 4 at place 3/, {
      observed: (observed) => ({
        ...observed,
        kept: observed.kept.map(({ log, task }) => ({ task, log: log.toSpliced(2, 1) }))
      })
    })
    assertCaught("P3", /event 3 of task t1 is another task's/, {
      observed: (observed) => ({
        ...observed,
        kept: observed.kept.map(({ log, task }) => ({
          task,
          log: log.map((stored): StoredEvent =>
            stored.seq === 3 && stored.event.type === "text"
              ? { ...stored, event: { ...stored.event, taskId: TaskId.make("t2") } }
              : stored
          )
        }))
      })
    })
  })

  it("P3: text that was lost before it was durable", () => {
    assertCaught("P3", /completes step 0/, { bodies: bodies.toSpliced(3, 1) })
  })

  it("P4: two terminal events, one in the middle, and one that the status does not agree with", () => {
    assertCaught("P4", /has 2 terminal events/, { bodies: [...bodies, { type: "cancelled" }] })
    assertCaught("P4", /events after its terminal one/, {
      bodies: bodies.toSpliced(-2, 2, ...bodies.slice(-2).toReversed())
    })
    assertCaught("P4", /is completed, and its log ends with cancelled/, {
      bodies: [...bodies.slice(0, -1), { type: "cancelled" }]
    })
  })

  it("P5: an event that a reader saw and the log does not have, or has otherwise", () => {
    assertCaught("P5", /which the log does not have/, { see: (seen) => [...seen, { id: 13, data: "{}" }] })
    assertCaught("P5", /saw event 3 as \{\}/, { see: (seen) => seen.with(2, { id: 3, data: "{}" }) })
  })

  it("P7: a call without a result", () => {
    assertCaught("P7", /call call of task t1 has no result/, { bodies: bodies.toSpliced(7, 1) })
  })

  it("P8: a task that has not ended, or ended as it must not", () => {
    assertCaught("P8", /has not ended/, { bodies: bodies.slice(0, -1) })
    assertCaught("P8", /ended with cancelled instead of done/, {
      bodies: [...bodies.slice(0, -1), { type: "cancelled" }]
    })
  })

  it("P8: an orphan that waited longer than lease + 2 s, unless the store was away", () => {
    assert.deepStrictEqual(found(later(4_990)), [])
    assertCaught("P8", /waited 5005 ms after 1 was gone/, later(5_000))
    assert.deepStrictEqual(
      found({
        observed: (observed) => ({
          ...later(5_500).observed?.(observed) ?? observed,
          outages: [{ from: 1_100, to: 2_100 }]
        })
      }),
      []
    )
  })

  it("P9: two owners at once, and an event that the owner before wrote", () => {
    assertCaught(
      "P9",
      /processes 2 and 3 both claimed/,
      ledgerWith(
        { at: 1_200, pid: 3, taskId: "t1", type: "claimed", attempt: 2 }
      )
    )
    assertCaught("P9", /written by 1 while 2 owned it/, {
      bodies: bodies.toSpliced(8, 1, ...said(1, 1, 2).slice(0, 1))
    })
  })

  it("P10: an unsafe tool that ran twice, and finished work that was done again", () => {
    assertCaught(
      "P10",
      /\(pay\) ran twice/,
      ledgerWith(
        { at: 1_070, pid: 2, taskId: "t1", type: "entered", attempt: 2, tool: "pay", call: "call" }
      )
    )
    assertCaught(
      "P10",
      /answer 0 of task t1 was asked for again/,
      ledgerWith(
        { at: 1_070, pid: 2, taskId: "t1", type: "asked", attempt: 2, step: 0 }
      )
    )
    assertCaught(
      "P10",
      /entered again after its result/,
      ledgerWith(
        { at: 1_200, pid: 3, taskId: "t1", type: "entered", attempt: 3, tool: "lookup", call: "call" }
      )
    )
    assertCaught("P10", /two results/, { bodies: bodies.toSpliced(7, 0, ...bodies.slice(7, 8)) })
  })

  it("P10: a conversation that lacks a message, or has one twice", () => {
    const messages = (
      change: (ids: ReadonlyArray<{ readonly id: never }>) => ReadonlyArray<{ readonly id: never }>
    ): Change => ({
      observed: (observed) => ({
        ...observed,
        messages: new Map([...observed.messages].map(([id, all]) => [id, change(all as never)]))
      })
    })
    assertCaught("P10", /conversation c1 has message/, messages((all) => all.toSpliced(1, 1)))
    assertCaught("P10", /conversation c1 has message/, messages((all) => [...all, ...all.slice(-1)]))
  })

  it("P11: a process with more tasks than places", () => {
    assertCaught(
      "P11",
      /process 2 ran 2 tasks at once/,
      ledgerWith(
        { at: 1_100, pid: 2, taskId: "t2", type: "claimed", attempt: 1 }
      )
    )
  })
})
