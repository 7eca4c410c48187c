import { assert, describe, it } from "@effect/vitest"
import { accepted, assertCaught, bodies, type Change, found, reread } from "./fixture.ts"
import type { Observed } from "./observed.ts"

/** The last event, the terminal one, comes so much later. */
const endsLater = (millis: number, change: Partial<Observed> = {}): Change => ({
  observed: (observed) =>
    reread({
      ...observed,
      kept: observed.kept.map(({ log, task }) => ({
        task,
        log: log.map((stored, i) => i < log.length - 1 ? stored : { ...stored, at: stored.at + millis })
      })),
      ...change
    })
})

const cancelled: Partial<Observed> = { cancels: [{ taskId: "t1", at: 1_100 }] }

describe("the checker of ends", () => {
  it("P8: every task ends: a log without an end", () => {
    assertCaught("P8", /t1 has not ended/, { bodies: bodies.slice(0, -1) })
  })

  it("P8: a task that ends late, though nothing happened", () => {
    // Its work takes 9 ms; a lease is 3 s, and the sweep and all else have 32 s.
    assert.deepStrictEqual(found(endsLater(34_900)), [])
    assertCaught("P8", /t1 did not end in 35\d{3} ms in which nothing happened: its work takes 9 ms/, endsLater(35_100))
  })

  it("P8: a task that ends late, and to which something happened last", () => {
    const outage = { from: 9_000, to: 11_000 }
    assert.deepStrictEqual(found(endsLater(44_000, { outages: [outage] })), [])
    assert.deepStrictEqual(found(endsLater(44_000, { cuts: [11_000] })), [])
    assertCaught("P8", /t1 did not end in 35\d{3} ms/, endsLater(45_050, { outages: [outage] }))
  })

  it("P8: a task has twice the time of its work", () => {
    const working = (millis: number): Change => {
      const { observed = (same) => same } = endsLater(44_000)
      const plan = { ...accepted("t1").plan, steps: [[{ tool: "pay" as const, millis }]] }
      return { observed: (same) => ({ ...observed(same), accepted: [{ ...accepted("t1"), plan }] }) }
    }
    assert.deepStrictEqual(found(working(5_000)), [])
    assertCaught("P8", /t1 did not end in 44\d{3} ms in which nothing happened: its work takes 4008 ms/, working(4_000))
  })

  it("P7: a cancel always ends a task", () => {
    assert.deepStrictEqual(found(endsLater(0, cancelled)), [])
    assertCaught("P7", /t1 was cancelled, and has not ended/, {
      bodies: bodies.slice(0, -1),
      observed: (observed) => ({ ...observed, ...cancelled })
    })
    assertCaught("P7", /t9 was cancelled, and has not ended/, endsLater(0, { cancels: [{ taskId: "t9", at: 1_100 }] }))
    assertCaught("P7", /t1 was cancelled, and did not end in 35\d{3} ms/, endsLater(35_050, cancelled))
    assert.deepStrictEqual(found(endsLater(40_000, { ...cancelled, cuts: [8_000] })), [])
  })
})
