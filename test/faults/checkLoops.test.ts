import { assert, describe, it } from "@effect/vitest"
import { check } from "./checker.ts"
import { assertCaught, bodies, type Change, found, observe, reread } from "./fixture.ts"
import type { Entry } from "./ledger.ts"
import type { Observed } from "./observed.ts"

/** Process 1 finished an answer; it and those after it died, and the last one gave the task up at 2000. */
const lost = (owners: number, more: ReadonlyArray<Entry> = [], fatal = true): Change => {
  const taskId = "t1"
  const claims = Array.from({ length: owners + 1 }, (_, i): Entry => ({
    at: i === owners ? 2_000 : 1_010 + 100 * i,
    pid: i + 1,
    taskId,
    type: "claimed",
    attempt: i + 1
  }))
  return {
    bodies: [...bodies.slice(0, 5), { type: "error", error: "CrashLoop", detail: "", retryable: false }],
    observed: (observed): Observed =>
      reread({
        ...observed,
        accepted: observed.accepted.map((one) => ({ ...one, ends: ["error"], plan: { ...one.plan, fatal } })),
        kept: observed.kept.map(({ log, task }) => ({
          task: { ...task, status: "error" },
          log: log.map((stored, i) => i === 5 ? { ...stored, at: 2_010 } : stored)
        })),
        ledger: [...claims, { at: 1_011, pid: 1, taskId, type: "asked", attempt: 1, step: 0 }, ...more],
        deaths: claims.slice(0, -1).map(({ at, pid }) => ({ pid, at: at + 50, how: "killed" })),
        capacity: 10
      })
  }
}

const asked = (attempt: number): Entry => ({ at: 2_001, pid: attempt, taskId: "t1", type: "asked", attempt, step: 1 })

describe("the checker of crash loops", () => {
  it("P8, SCENARIO 28: a task is given up when it has lost four owners in a row", () => {
    assert.deepStrictEqual(found(lost(4)), [])
    assertCaught("P8", /t1 was given up after it had lost 3 owners in a row/, lost(3))
    // One that gave it up was not lost.
    const released: Entry = { at: 1_150, pid: 2, taskId: "t1", type: "released" }
    assertCaught("P8", /t1 was given up after it had lost 3 owners in a row/, lost(4, [released]))
    // Nor did one give it up that had lost it before.
    assert.deepStrictEqual(found(lost(4, [{ ...released, pid: 1 }])), [])
  })

  it("P8, SCENARIO 28: a task that has lost four owners in a row is not tried again", () => {
    assert.deepStrictEqual(found(lost(4, [asked(4)])), [])
    assertCaught("P8", /t1 went on with attempt 5 after it had lost 4 owners in a row/, lost(4, [asked(5)]))
  })

  it("P8: an owner that handed the task over before it ended is not lost", () => {
    const released: Entry = { at: 1_120, pid: 2, taskId: "t1", type: "released" }
    const violations = check(observe(lost(4, [asked(5), released])))
    assert.isFalse(violations.some(({ what }) => what.includes("went on with")))
  })

  it("P8: an owner that could not renew its lease is not lost for sure", () => {
    const { observed = (same) => same, ...change } = lost(4, [asked(5)])
    const alive = (one: Observed): Observed => ({ ...one, deaths: one.deaths.slice(1) })
    assert.deepStrictEqual(found({ ...change, observed: (one) => alive(observed(one)) }), [])
  })

  it("P8: only few tasks are given up because the harness killed their owners", () => {
    assertCaught("P8", /1 of 1 tasks were given up/, lost(4, [], false))
  })
})
