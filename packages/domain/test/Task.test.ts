import { assert, describe, it } from "@effect/vitest"
import * as Task from "@perennial/domain/Task"

const statuses = Task.TaskStatus.literals

describe("TaskStatus", () => {
  it("P4: terminal statuses never change", () => {
    for (const from of ["completed", "error", "cancelled"] as const) {
      assert.isTrue(Task.isTerminal(from))
      for (const to of statuses) assert.isFalse(Task.canMove(from, to), `${from} -> ${to}`)
    }
  })

  it("queued and running are active", () => {
    assert.isFalse(Task.isTerminal("queued"))
    assert.isFalse(Task.isTerminal("running"))
  })

  it.prop(
    "statuses only move forward: no sequence of moves returns to an earlier status",
    [Task.TaskStatus, Task.TaskStatus],
    ([a, b]) => {
      const rank = { queued: 0, running: 1, completed: 2, error: 2, cancelled: 2 }
      if (Task.canMove(a, b)) assert.isBelow(rank[a], rank[b])
    }
  )

  it("only a running task can complete; a queued task can fail or be cancelled", () => {
    assert.isFalse(Task.canMove("queued", "completed"))
    assert.isTrue(Task.canMove("queued", "error"))
    assert.isTrue(Task.canMove("queued", "cancelled"))
    assert.isTrue(Task.canMove("running", "completed"))
  })
})
