import { assert, describe, it } from "@effect/vitest"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { children } from "./checkChildren.ts"
import { observe } from "./fixture.ts"
import type { Kept } from "./observed.ts"

const observed = observe()
const parent = TaskId.make("p1")
const child = TaskId.make("p1.001")

const kept = (id: TaskId, bodies: ReadonlyArray<object>, endedAt: number, link?: Kept["task"]["parent"]): Kept => ({
  task: { id, conversationId: ConversationId.make(`c-${id}`), status: "completed", ...(link && { parent: link }) },
  log: bodies.map((body, i) => ({
    seq: i + 1,
    at: i + 1 < bodies.length ? 1_000 : endedAt,
    // Only built from the bodies below.
    event: { taskId: id, conversationId: `c-${id}`, ...body } as unknown as TaskEvent
  }))
})

const call = { type: "tool_call", tool: "delegate", toolCallId: "call", args: {}, status: "executing" }
const done = { type: "done", usage: zero }

/** A parent with one child that ends so much later, and whose link names this event. */
const family = (later: number, seq = 2, bodies: ReadonlyArray<object> = [{ ...call, childTaskId: child }]) =>
  children({
    ...observed,
    kept: [
      kept(parent, [{ type: "ack" }, ...bodies, done], 5_000),
      kept(child, [{ type: "ack" }, done], 5_000 + later, { taskId: parent, toolCallId: "call", seq })
    ]
  }).map(({ promise, what }) => `${promise}: ${what}`)

describe("the checker of child tasks", () => {
  it("P7: a child ends before its parent, or as soon as another process takes it up", () => {
    assert.deepStrictEqual(family(-1_000), [])
    assert.deepStrictEqual(family(observed.leaseMillis + 2_000), [])
    assert.deepStrictEqual(family(9_000), ["P7: child p1.001 ended 9000 ms after its parent"])
  })

  it("P10: one event of the parent names the child", () => {
    assert.deepStrictEqual(family(0, 1), ["P10: event 1 of task p1 does not name its child p1.001"])
    const again = { ...call, childTaskId: TaskId.make("p1.002") }
    assert.deepStrictEqual(family(0, 2, [{ ...call, childTaskId: child }, again]), [
      "P10: call call of task p1 names 2 child tasks"
    ])
    assert.deepStrictEqual(family(0, 2, [{ ...call, childTaskId: child }, call]), [])
  })
})
