import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as Usage from "@perennial/domain/Usage"
import { Schema } from "effect"
import { fromMoves, known, Moves, stored, task, voidSeqs } from "./taskLog.ts"

const outcomes = {
  completed: { status: "completed", usage: Usage.zero },
  cancelled: { status: "cancelled", reason: "by the user" },
  error: { status: "error", error: "Timeout", detail: "It took too long.", retryable: true }
} as const
const Status = Schema.Literals(["completed", "cancelled", "error"])

const settled = (log: ReadonlyArray<TaskEvent.StoredEvent>, outcome: Settlement.Outcome) =>
  stored([...log.map(({ event }) => event), ...Settlement.settle(log, task, outcome)])

describe("Settlement", () => {
  it("the output of a completed task is in its terminal event", () => {
    const log = stored([known({ type: "output", output: { n: 1 } }), known({ type: "output", output: { n: 2 } })])
    assert.deepInclude(Settlement.settle(log, task, outcomes.completed).at(-1), { type: "done", output: { n: 2 } })
    assert.notProperty(Settlement.settle(log, task, outcomes.cancelled).at(-1), "output")
    assert.notProperty(Settlement.settle([], task, outcomes.completed).at(-1), "output")
  })

  it.prop("settling is idempotent", [Moves, Status, Status], ([moves, first, second]) => {
    const log = settled(fromMoves(moves), outcomes[first])
    assert.deepStrictEqual(Settlement.settle(log, task, outcomes[second]), [])
  })

  it.prop(
    "P4: there is exactly one terminal event; it is the last event and has the status of the outcome",
    [Moves, Status],
    ([moves, status]) => {
      const log = settled(fromMoves(moves), outcomes[status])
      const terminal = log.filter(({ event }) => TaskEvent.isTerminal(event))
      assert.strictEqual(terminal.length, 1)
      assert.strictEqual(terminal[0], log.at(-1))
      assert.isTrue(
        terminal.every(({ event }) => TaskEvent.isTerminal(event) && TaskEvent.terminalStatus(event) === status)
      )
    }
  )

  it.prop(
    "SCENARIO 21: every tool call of every message has exactly one result",
    [Moves, Status],
    ([moves, status]) => {
      const asked: Array<string> = []
      const answered: Array<string> = []
      for (const { event } of settled(fromMoves(moves), outcomes[status])) {
        if (event.type === "tool_result") answered.push(event.toolCallId)
        if (event.type !== "message") continue
        for (const part of event.message.content) if (part.type === "tool_call") asked.push(part.toolCallId)
      }
      assert.deepStrictEqual(answered.toSorted(), asked.toSorted())
    }
  )

  it.prop(
    "P7: streamed text that is not void is kept as a partial message",
    [Moves, Status],
    ([moves, status]) => {
      const log = fromMoves(moves)
      const isVoid = voidSeqs(log)
      const complete = log.findLast(({ event }) => event.type === "message")?.seq ?? 0
      let text = ""
      for (const { event, seq } of log) {
        if (seq > complete && event.type === "text" && !isVoid.has(seq)) text += event.content
      }
      const owed = Settlement.settle(log, task, outcomes[status])
      const partial = owed.flatMap((event) => event.type === "message" ? [Message.text(event.message)] : [])
      assert.deepStrictEqual(partial, text === "" ? [] : [text])
    }
  )

  it.prop("settling changes no text that a screen showed before", [Moves, Status], ([moves, status]) => {
    const log = fromMoves(moves)
    const before = log.reduce(TaskView.apply, TaskView.empty)
    const after = settled(log, outcomes[status]).reduce(TaskView.apply, TaskView.empty)
    const texts = (view: TaskView.TaskView) => view.messages.map(({ message }) => Message.text(message))
    assert.deepStrictEqual(texts(after), before.text === "" ? texts(before) : [...texts(before), before.text])
    assert.strictEqual(after.text, "")
  })

  it.prop("`advance` event by event settles like the whole log", [Moves, Status], ([moves, status]) => {
    const log = fromMoves(moves)
    const open = log.reduce((open, { event }) => Settlement.advance(open, event), Settlement.empty)
    assert.deepStrictEqual(
      Settlement.settleUnsettled(open, task, outcomes[status]),
      Settlement.settle(log, task, outcomes[status])
    )
  })

  it("the result of an interrupted call says whether the tool had begun", () => {
    const log = fromMoves(["ask for two tools", "enter"])
    const results = Settlement.settle(log, task, outcomes.cancelled).flatMap((event) =>
      event.type === "tool_result" ? [event] : []
    )
    assert.deepStrictEqual(results.map(({ result, status, toolCallId }) => ({ result, status, toolCallId })), [
      {
        toolCallId: "call_1",
        status: "interrupted",
        result: { type: "interrupted", reason: "The call was interrupted before it finished. Its effects are unknown." }
      },
      {
        toolCallId: "call_2",
        status: "interrupted",
        result: { type: "interrupted", reason: "The call was not executed: the task ended first." }
      }
    ])
  })

  it("the result of an interrupted call has the decision of the user", () => {
    const decision = { approved: true, args: { id: 2 } }
    const log = stored([
      ...fromMoves(["ask for one tool"]).map(({ event }) => event),
      known({ type: "tool_approval", tool: "t", toolCallId: "call_1", args: { id: 1 } }),
      known({ type: "tool_approval", tool: "t", toolCallId: "call_1", args: { id: 1 }, decision }),
      known({ type: "tool_call", tool: "t", toolCallId: "call_1", args: { id: 2 }, status: "executing" })
    ])
    const [result] = Settlement.settle(log, task, outcomes.cancelled)
    assert.deepStrictEqual(result?.type === "tool_result" ? result.decision : undefined, decision)
  })

  it("the text of a refused answer is not kept", () => {
    const owed = Settlement.settle(fromMoves(["text"]), task, { ...outcomes.error, discardText: true })
    assert.deepStrictEqual(owed.map(({ type }) => type), ["error"])
  })

  it("text before a tool result is kept if no message has it; a later crash makes only the text after the result void", () => {
    const log = fromMoves(["ask for one tool", "enter", "text", "result", "text", "resumed"])
    const [kept] = Settlement.settle(log, task, outcomes.completed)
    assert.strictEqual(kept?.type === "message" ? Message.text(kept.message) : undefined, "w2 ")
    const view = log.reduce(TaskView.apply, TaskView.empty)
    assert.strictEqual(view.text, "w2 ")
  })

  it("text that is only white space is not kept as a message", () => {
    const log = stored([known({ type: "text", content: " \n" })])
    assert.deepStrictEqual(Settlement.settle(log, task, outcomes.cancelled).map(({ type }) => type), ["cancelled"])
  })

  it("the usage of complete messages is summed up", () => {
    const open = fromMoves(["answer", "text", "answer"]).reduce(
      (open, { event }) => Settlement.advance(open, event),
      Settlement.empty
    )
    assert.deepStrictEqual(open.usage, { ...Usage.zero, requests: 2, outputTokens: 6 })
  })
})
