import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { check } from "./checker.ts"
import { accepted, assertCaught, bodies, type Change, found, ledger, ledgerWith, observe, said } from "./fixture.ts"
import type { Observed } from "./observed.ts"

describe("the checker of fault runs", () => {
  it("finds nothing where nothing is wrong", () => {
    assert.deepStrictEqual(found({}), [])
  })

  it("P1: an accepted task that is missing, and one that nobody was told of", () => {
    assertCaught("P1", /t2 was accepted and is not in the store/, {
      observed: (observed) => ({ ...observed, accepted: [...observed.accepted, accepted("t2")] })
    })
    assertCaught("P1", /nobody was told of task t1/, { observed: (observed) => ({ ...observed, accepted: [] }) })
  })

  it("P2: two tasks of a conversation at once", () => {
    assertCaught("P2", /began before t1/, {
      observed: (observed) => ({
        ...observed,
        accepted: [...observed.accepted, accepted("t2")],
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

  it("P3: a program that shows something twice through a face, or was never told of the end", () => {
    const text = observe().kept.flatMap(({ log }) => log).map(({ event }) =>
      event.type === "message" ? Message.text(event.message) : ""
    ).join("")
    assert.isAbove(text.length, 0)
    const through = (shown: string | undefined, ...problems: Array<string>): Change => ({
      observed: (observed) => ({
        ...observed,
        faceReadings: [{ reader: "OpenAI", taskId: "t1", connections: 1, problems, shown }]
      })
    })
    assert.deepStrictEqual(found(through(text)), [])
    assertCaught("P3", /OpenAI of task t1: it shows/, through(text + text))
    assertCaught("P3", /OpenAI of task t1: it was left/, through(undefined))
    assertCaught("P3", /OpenAI of task t1: it got event 4 twice/, through(text, "it got event 4 twice"))
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

  it("P6: a reader that stalled and held its task up, or did not get everything afterwards", () => {
    const stalled = (until: number, seen: number): Change => ({
      observed: (observed) => ({
        ...observed,
        readings: observed.readings.map((one) => ({
          ...one,
          seen: one.seen.slice(0, seen),
          stalled: { from: 1_000, until }
        }))
      })
    })
    assert.deepStrictEqual(found(stalled(1_200, 12)), [])
    assertCaught("P6", /r1 of task t1 stalled, and the task did not end/, stalled(1_100, 12))
    assertCaught("P6", /r1 of task t1 stalled, and then got 11 of 12 events/, stalled(1_200, 11))
  })

  it("P6: a server that grew by more than it may", () => {
    assertCaught("P6", /process 1 grew from 100 to 150 MiB, by at most 40 it may/, {
      observed: (observed) => ({ ...observed, growthBytes: 40 * 2 ** 20 })
    })
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

  it("P9: a task that was taken from an owner that was well", () => {
    assertCaught("P9", /t1 was taken from process 1, to which nothing had happened/, {
      observed: (observed) => ({
        ...observed,
        accepted: observed.accepted.map((one) => ({ ...one, undisturbed: true }))
      })
    })
  })

  it("P1: a log that was removed", () => {
    assertCaught("P1", /the log of task t1, which is completed, is gone/, { bodies: [] })
    assert.isFalse(check(observe({ bodies: [] })).some(({ what }) => what.includes("has not ended")))
  })

  it("P9: an attempt that nobody claimed", () => {
    assertCaught("P9", /event 7 of task t1 begins attempt 2, which nobody claimed/, {
      observed: (observed) => ({ ...observed, ledger: ledger.filter(({ at }) => at !== 1_060) })
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
    assertCaught(
      "P10",
      /answer 1 of task t1 was asked for twice in one attempt/,
      ledgerWith(
        { at: 1_072, pid: 2, taskId: "t1", type: "asked", attempt: 2, step: 1 }
      )
    )
    assertCaught("P10", /two results/, { bodies: bodies.toSpliced(7, 0, ...bodies.slice(7, 8)) })
  })

  it("P10: a task that completed without all that it was to do", () => {
    const plan = (words: number, calls: number): Change => ({
      observed: (observed) => ({
        ...observed,
        accepted: observed.accepted.map((one) => ({
          ...one,
          plan: { words, drip: 2, steps: [Array.from({ length: calls }, () => ({ tool: "pay", millis: 1 }))] }
        }))
      })
    })
    assertCaught("P10", /completed with 2\+2 words and 1 results of tools; its plan has 2 x 3 and 1/, plan(3, 1))
    assertCaught("P10", /its plan has 2 x 2 and 2/, plan(2, 2))
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

  it("P11: a process that could not renew its lease may have stopped tasks", () => {
    const { observed = (same) => same } = ledgerWith({ at: 1_100, pid: 2, taskId: "t2", type: "claimed", attempt: 1 })
    const outages = (millis: number) => [{ from: 1_070, to: 1_070 + millis }]
    const places = (millis: number) =>
      check(observed({ ...observe(), outages: outages(millis) })).filter(({ promise }) => promise === "P11").length
    assert.deepStrictEqual([places(1_000), places(3_000)], [1, 0])
  })

  it("a run in which nothing happened, or less than it needs to show anything", () => {
    const nothing = check({
      ...observe(),
      accepted: [],
      readings: [],
      kept: [],
      messages: new Map(),
      ledger: [],
      deaths: []
    })
    assert.deepStrictEqual(nothing.map(({ what }) => what), [
      "tasks: 0, at least 1 would have shown something",
      "events: 0, at least 1 would have shown something",
      "readers: 0, at least 1 would have shown something",
      "events checked at readers: 0, at least 1 would have shown something"
    ])
    assert.deepStrictEqual(
      found({ observed: (same) => ({ ...same, least: { orphans: 1, "processes killed -9": 1 } }) }),
      []
    )
    const least: Observed["least"] = {
      readers: 2,
      "stalled readers": 1,
      "processes killed -9": 2,
      "processes frozen": 1,
      "processes told to end": 1,
      "processes whose clock was wrong": 1,
      "restarts of the store": 1,
      "times the store refused writes": 1,
      "connections through a proxy": 1,
      "connections that a proxy cut": 1,
      "connections that a proxy left half-open": 1,
      "times all connections to the store were cut": 1,
      orphans: 2,
      "tasks handed over": 1,
      "tasks cancelled": 1,
      "content at a bound that was accepted": 1,
      "content over a bound that was refused": 1
    }
    assert.deepStrictEqual(
      check({ ...observe(), least }).map(({ promise, what }) => `${promise}: ${what.split(":")[0]}`),
      Object.keys(least).map((name) => `run: ${name}`)
    )
  })
})
