import { assert, describe, it } from "@effect/vitest"
import * as Throughput from "@perennial/domain/Throughput"

const minute = 60_000
/** In the middle of minute 1,000. */
const now = 1_000 * minute + 30_000

const shown = (counts: ReadonlyArray<Throughput.MinuteCount>) =>
  Throughput.make(now, counts).minutes.map(({ at, cancelled, completed, error, started }) => ({
    minute: at.epochMilliseconds / minute,
    started,
    completed,
    error,
    cancelled
  }))

describe("Throughput", () => {
  it("has the last 60 minutes, oldest first, the present one last", () => {
    const minutes = shown([
      { minute: 1_000, kind: "started", count: 3 },
      { minute: 1_000, kind: "error", count: 1 },
      { minute: 941, kind: "completed", count: 2 },
      { minute: 940, kind: "completed", count: 5 }
    ])
    assert.strictEqual(minutes.length, 60)
    const none = { started: 0, completed: 0, error: 0, cancelled: 0 }
    assert.deepStrictEqual(minutes[0], { minute: 941, ...none, completed: 2 })
    assert.deepStrictEqual(minutes.at(-1), { minute: 1_000, ...none, started: 3, error: 1 })
    assert.strictEqual(Throughput.begin(now), 941 * minute)
  })

  it("P11: leaves out the minutes of which a store has not counted all", () => {
    const half = Throughput.maxCounted / 2
    const counted = (last: number) => [
      { minute: 999, kind: "completed", count: half } as const,
      { minute: 998, kind: "cancelled", count: last } as const,
      { minute: 960, kind: "started", count: 1 } as const
    ]
    assert.strictEqual(shown(counted(half - 1)).length, 60)
    // The store stopped in minute 998.
    assert.deepStrictEqual(shown(counted(half)).map(({ completed, minute }) => [minute, completed]), [[999, half], [
      1_000,
      0
    ]])
  })
})
