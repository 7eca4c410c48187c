import { assert, describe, it } from "@effect/vitest"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import * as TaskSummary from "@perennial/domain/TaskSummary"
import * as Usage from "@perennial/domain/Usage"
import { Array, DateTime } from "effect"
import { known, stored } from "./taskLog.ts"

const of = (...events: ReadonlyArray<TaskEvent>) => stored(events).reduce(TaskSummary.advance, TaskSummary.empty)

const asked = (toolCallId: string) => known({ type: "tool_approval", tool: "pay", toolCallId, args: {} })
const decided = (toolCallId: string) =>
  known({ type: "tool_approval", tool: "pay", toolCallId, args: {}, decision: { approved: true } })
const result = (toolCallId: string) =>
  known({ type: "tool_result", tool: "pay", toolCallId, result: null, status: "completed" })
const message = (usage: Usage.Usage) => known({ type: "message", message: { role: "assistant", content: [] }, usage })
const title = (title: string) => known({ type: "title", title })

const ids = ({ waiting }: TaskSummary.TaskSummary) => waiting?.map(({ toolCallId }) => toolCallId)

describe("TaskSummary", () => {
  it("has the calls that wait, oldest first, until they are decided or have a result", () => {
    assert.deepStrictEqual(of(asked("a")).waiting, [
      { toolCallId: "a", tool: "pay", seq: 1, askedAt: DateTime.makeUnsafe(0) }
    ])
    assert.deepStrictEqual(ids(of(asked("a"), asked("b"), asked("c"), decided("b"))), ["a", "c"])
    assert.deepStrictEqual(ids(of(asked("a"), asked("b"), result("a"))), ["b"])
    assert.deepStrictEqual(of(asked("a"), decided("a"), result("a")), TaskSummary.empty)
    assert.strictEqual(of(asked("a"), asked("a")).waiting?.[0]?.seq, 1)
  })

  it("has the last title", () => {
    assert.deepStrictEqual(of(title("one"), title("two")), { title: "two" })
  })

  it("has the last output, which is shown when the task has completed", () => {
    const summary = of(known({ type: "output", output: null }), known({ type: "output", output: { n: 1 } }))
    assert.deepStrictEqual(TaskSummary.decode(TaskSummary.encode(summary)), { output: { n: 1 } })
    assert.deepStrictEqual(TaskSummary.toShown(summary, "completed"), { output: { n: 1 } })
    for (const status of ["running", "error", "cancelled"] as const) {
      assert.deepStrictEqual(TaskSummary.toShown(summary, status), {})
    }
  })

  it("has the sum of the usages of messages", () => {
    const usage = { ...Usage.zero, requests: 1, inputTokens: 10, outputTokens: 5 }
    assert.deepStrictEqual(of(message(usage), message(usage)), { usage: Usage.add(usage, usage) })
    assert.strictEqual(of(message(Usage.zero)), TaskSummary.empty)
  })

  it("is the same object after an event that changes nothing", () => {
    const summary = of(asked("a"), title("one"))
    for (const event of [asked("a"), decided("b"), result("b"), title("one"), known({ type: "text", content: "x" })]) {
      assert.strictEqual(TaskSummary.advance(summary, { seq: 9, at: 9, event }), summary)
    }
  })

  it("P11: has at most `maxWaiting` calls", () => {
    const many = Array.makeBy(TaskSummary.maxWaiting + 5, (i) => asked(String(i)))
    assert.strictEqual(of(...many).waiting?.length, TaskSummary.maxWaiting)
  })

  it("waits for nobody after the end of its task, but keeps its title", () => {
    const summary = of(asked("a"), title("one"))
    assert.deepStrictEqual(TaskSummary.toShown(summary, "running"), {
      ...summary,
      waitingSince: DateTime.makeUnsafe(0)
    })
    assert.deepStrictEqual(TaskSummary.toShown(summary, "cancelled"), { title: "one" })
  })

  it("survives its text; a text that cannot be read is the empty summary", () => {
    const summary = of(asked("a \u0000"), title("🌲"), message({ ...Usage.zero, requests: 1 }))
    assert.deepStrictEqual(TaskSummary.decode(TaskSummary.encode(summary)), summary)
    for (const text of [null, "", "{", "[]", `{"waiting":1}`]) {
      assert.strictEqual(TaskSummary.decode(text), TaskSummary.empty)
    }
  })
})
