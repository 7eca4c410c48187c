import { assert, describe, it } from "@effect/vitest"
import { findOrder, type Operation } from "./linearizable.ts"

const start = (taskId: string, from: number, until: number, onBusy: "reject" | "enqueue" = "reject"): Operation => ({
  type: "start",
  onBusy,
  taskId,
  from,
  until
})
const end = (taskId: string, at: number): Operation => ({ type: "end", taskId, from: at, until: at })
const decide = (value: string, from: number, until: number): Operation => ({
  type: "decide",
  key: "a/0.0",
  taskId: "a",
  value,
  from,
  until
})

describe("linearizable", () => {
  it("a start after the end of another task has an order", () => {
    assert.strictEqual(findOrder([start("a", 0, 2), end("a", 3.5), start("b", 3, 5)], 100), "found")
  })

  it("two starts with `reject` before any end have none", () => {
    assert.strictEqual(findOrder([start("a", 0, 2), start("b", 0, 5), end("a", 6.5)], 100), "none")
  })

  it("a refusal needs an active task", () => {
    const busy: Operation = { type: "busy", from: 4, until: 5 }
    assert.strictEqual(findOrder([start("a", 0, 2), end("a", 3.5), busy], 100), "none")
    assert.strictEqual(findOrder([start("a", 0, 2), end("a", 4.5), busy], 100), "found")
  })

  it("a queue is full only if as many tasks wait", () => {
    const full: Operation = { type: "full", from: 2, until: 3 }
    const starts = [start("a", 0, 2), start("b", 1, 2, "enqueue")]
    assert.strictEqual(findOrder([...starts, full], 1), "found")
    assert.strictEqual(findOrder([...starts, full], 2), "none")
  })

  it("the first decision counts, and another one is refused", () => {
    const refused = (from: number): Operation => ({
      type: "refused",
      decided: true,
      key: "a/0.0",
      value: "false",
      from,
      until: from + 1
    })
    const begun = start("a", 0, 1)
    assert.strictEqual(findOrder([begun, decide("true", 2, 3), refused(3)], 100), "found")
    assert.strictEqual(findOrder([begun, refused(1), decide("true", 3, 4)], 100), "none")
    assert.strictEqual(findOrder([begun, decide("true", 2, 3), decide("false", 4, 5)], 100), "none")
  })

  it("an act without an answer may have happened at any later time, or never", () => {
    const lost: Operation = { ...decide("true", 1, Number.POSITIVE_INFINITY), optional: true }
    assert.strictEqual(findOrder([start("a", 0, 1), lost, decide("false", 4, 5)], 100), "found")
    assert.strictEqual(findOrder([start("a", 0, 1), lost, decide("true", 4, 5)], 100), "found")
  })
})
