import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import { check } from "./checker.ts"
import { accepted, assertCaught, bodies, type Change, found, later, ledger, observe, shifted } from "./fixture.ts"
import type { Entry } from "./ledger.ts"
import type { Observed } from "./observed.ts"
import type { Death } from "./world.ts"

describe("the checker of owners", () => {
  it("P8: an orphan that waited longer than lease + 2 s, unless the store or all processes were away", () => {
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
    assert.deepStrictEqual(
      found({
        observed: (observed) => ({
          ...later(5_500).observed?.(observed) ?? observed,
          absences: [{ from: 1_100, to: 2_100 }]
        })
      }),
      []
    )
  })

  it("P8: an orphan may wait longer by the time in which the store or the machine was slow, and no longer", () => {
    const slow = (millis: number): Change => ({
      observed: (observed) => ({
        ...later(millis).observed?.(observed) ?? observed,
        slow: [{ from: 1_100, to: 2_100 }]
      })
    })
    assert.deepStrictEqual(found(slow(5_990)), [])
    assertCaught("P8", /waited 6005 ms after 1 was gone/, slow(6_000))
  })

  it("P8: an accepted task that nobody claimed for longer than lease + 2 s, unless no process had a place", () => {
    const late = (millis: number, change: Partial<Observed> = {}): Change => ({
      observed: (observed) => ({
        ...observed,
        ledger: shifted(ledger, millis),
        deaths: observed.deaths.map((death) => ({ ...death, at: death.at + millis })),
        ...change
      })
    })
    assert.deepStrictEqual(found(late(4_990)), [])
    assertCaught("P8", /t1 waited 600010 ms after its turn had come/, late(600_000))
    const busy = [1, 2, 3].map((pid): Entry => ({ at: 1_001, pid, taskId: `busy${pid}`, type: "claimed", attempt: 1 }))
    const done = busy.map(({ pid, taskId }): Entry => ({ at: 600_000, pid, taskId, type: "finished" }))
    assert.deepStrictEqual(found(late(600_000, { ledger: [...busy, ...done, ...shifted(ledger, 600_000)] })), [])
    // One that is not up has no places.
    const lives = observe().lives.slice(0, 2)
    const two = [...busy.slice(0, 2), ...done.slice(0, 2), ...shifted(ledger, 600_000)]
    assertCaught("P8", /waited 600010 ms after its turn/, late(600_000, { ledger: two }))
    assert.deepStrictEqual(found(late(600_000, { ledger: two, lives })), [])
  })

  it("P8: a task that nobody claimed when the one before it in its conversation had ended", () => {
    const queued = (millis: number): Change => ({
      observed: (observed) => ({
        ...observed,
        accepted: [...observed.accepted, accepted("t2")],
        kept: [
          ...observed.kept,
          ...observed.kept.map(({ log, task }) => ({ task: { ...task, id: TaskId.make("t2") }, log }))
        ],
        ledger: [...ledger, { at: 1_110 + millis, pid: 2, taskId: "t2", type: "claimed", attempt: 1 }]
      })
    })
    const waited = /t2 waited \d+ ms after its turn had come/
    assert.notMatch(JSON.stringify(check(observe(queued(4_990)))), waited)
    assertCaught("P8", /t2 waited 5010 ms after its turn had come/, queued(5_010))
  })

  it("P8: a task whose owner died before the ledger had its claim", () => {
    /** Process 3 claimed it for attempt 2, at most so long before its death, and process 2 for attempt 3. */
    const unknown = (death: number, next: number): Change => ({
      bodies: bodies.with(6, { type: "resumed", attempt: 3, discardAfter: 5 }),
      observed: (observed) => ({
        ...observed,
        ledger: ledger.map((entry): Entry =>
          entry.pid === 1
            ? entry
            : { ...entry, at: entry.at - 1_060 + next, ...("attempt" in entry ? { attempt: 3 } : {}) }
        ),
        deaths: [...observed.deaths, { pid: 3, at: death, how: "killed" }]
      })
    })
    assert.deepStrictEqual(found(unknown(5_000, 9_000)), [])
    assertCaught("P8", /t1 waited 5500 ms after 1 was gone/, unknown(5_000, 10_500))
    assertCaught("P8", /t1 waited 6945 ms after 1 was gone/, unknown(8_000, 9_000))
  })

  const terminated = (change: Partial<Death>, more: ReadonlyArray<Entry>, nextAt = 1_060): Change => ({
    observed: (observed) => ({
      ...observed,
      ledger: [
        ...ledger.map((entry) => entry.pid === 2 ? Object.assign({}, entry, { at: entry.at - 1_060 + nextAt }) : entry),
        ...more
      ],
      deaths: [{ pid: 1, at: 1_052, how: "terminated", gone: 1_058, code: 0, ...change }]
    })
  })
  const released: Entry = { at: 1_055, pid: 1, taskId: "t1", type: "released" }

  it("P8, SCENARIO 26: a process that was told to end and did not hand its tasks over, or did not end well", () => {
    assert.deepStrictEqual(found(terminated({}, [released])), [])
    // The next owner was faster to write than the one before.
    assert.deepStrictEqual(found(terminated({}, [{ ...released, at: 1_061 }])), [])
    assertCaught("P8", /process 1, told to end, neither ended task t1 nor gave it up/, terminated({}, []))
    assertCaught("P8", /t1 waited 600000 ms after 1 was gone/, terminated({}, [], 601_052))
    assertCaught("P8", /t1 waited 2500 ms after 1 had handed it over/, terminated({}, [released], 3_555))
    assertCaught("P8", /process 1, told to end, exited with 1/, terminated({ code: 1 }, [released]))
    assertCaught("P8", /process 1, told to end, exited with null/, terminated({ code: null }, [released]))
  })

  it("P8: a process that ended by itself, unless its task told it to", () => {
    const died = (pid: number, more: ReadonlyArray<Entry> = []): Change => ({
      observed: (observed) => ({
        ...observed,
        ledger: [...ledger, ...more],
        deaths: [...observed.deaths, { pid, at: 1_200, how: "died", gone: 1_200, code: 1 }]
      })
    })
    assertCaught("P8", /process 2 ended by itself with 1/, died(2))
    assert.deepStrictEqual(found(died(2, [{ at: 1_199, pid: 2, taskId: "t1", type: "dying" }])), [])
    // It never was up: it found no store.
    assert.deepStrictEqual(found(died(4)), [])
  })
})
