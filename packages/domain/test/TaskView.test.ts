import { assert, describe, it } from "@effect/vitest"
import { messageId, TaskId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as Usage from "@perennial/domain/Usage"
import { Schema } from "effect"
import events from "./golden/events.json" with { type: "json" }
import { fromMoves, known, Moves, stored, voidSeqs } from "./taskLog.ts"

const view = (log: ReadonlyArray<TaskEvent.StoredEvent>) => log.reduce(TaskView.apply, TaskView.empty)
const viewOf = (...events: ReadonlyArray<TaskEvent.TaskEvent>) => view(stored(events))

const assistant = (text: string, ...toolCallIds: ReadonlyArray<string>) =>
  known({
    type: "message",
    message: {
      role: "assistant",
      content: [
        { type: "text", text },
        ...toolCallIds.map((toolCallId) => ({ type: "tool_call" as const, toolCallId, tool: "look", args: { n: 1 } }))
      ]
    },
    usage: Usage.zero
  })

describe("TaskView: delivery", () => {
  it.prop(
    "P3: events that are repeated by reconnects do not change the view",
    [Moves, Schema.Array(Schema.Natural)],
    ([moves, rewinds]) => {
      const log = fromMoves(moves)
      const delivered: Array<TaskEvent.StoredEvent> = []
      log.forEach((event, i) => {
        delivered.push(event)
        const rewind = rewinds[i]
        if (rewind !== undefined) delivered.push(...log.slice(rewind % (i + 1), i + 1))
      })
      assert.deepStrictEqual(view(delivered), view(log))
    }
  )

  it.prop("a reader can resume from the cursor of the view", [Moves], ([moves]) => {
    const log = fromMoves(moves)
    assert.strictEqual(view(log).cursor, log.length)
    const half = Math.floor(log.length / 2)
    const early = view(log.slice(0, half))
    assert.deepStrictEqual(log.filter(({ seq }) => seq > early.cursor).reduce(TaskView.apply, early), view(log))
  })

  it.prop("the view is the same with and without the void events", [Moves], ([moves]) => {
    const log = fromMoves(moves)
    const isVoid = voidSeqs(log)
    const shown = ({ messages, reasoning, status, text }: TaskView.TaskView) => ({ messages, reasoning, status, text })
    assert.deepStrictEqual(shown(view(log.filter(({ seq }) => !isVoid.has(seq)))), shown(view(log)))
  })
})

describe("TaskView: events", () => {
  it("ack and events of unknown types change only the cursor", () => {
    const log = stored([
      known({ type: "ack", messageId: messageId(TaskId.make("t1"), 1) }),
      { type: "unknown", raw: { type: "hologram" } }
    ])
    assert.deepStrictEqual(view(log), { ...TaskView.empty, cursor: 2 })
    assert.strictEqual(TaskView.empty.status, "queued")
  })

  it("`data` events are kept in order, also when text around them becomes void", () => {
    const { data, text } = viewOf(
      known({ type: "data", name: "chart", data: [1] }),
      known({ type: "text", content: "half" }),
      known({ type: "data", name: "chart", data: [1, 2] }),
      known({ type: "resumed", attempt: 2, discardAfter: 0 }),
      known({ type: "data", name: "place", data: null })
    )
    assert.strictEqual(text, "")
    assert.deepStrictEqual(data, [
      { seq: 1, name: "chart", data: [1] },
      { seq: 3, name: "chart", data: [1, 2] },
      { seq: 5, name: "place", data: null }
    ])
  })

  it("the status after started and resumed is running", () => {
    assert.strictEqual(viewOf(known({ type: "started", attempt: 1 })).status, "running")
    assert.strictEqual(viewOf(known({ type: "resumed", attempt: 2, discardAfter: 0 })).status, "running")
  })

  it("the pieces of a message that was too large for one event become one message", () => {
    const piece = (text: string, continued: boolean) => ({ ...assistant(text), ...(continued ? { continued } : {}) })
    const { messages } = viewOf(piece("one, ", true), piece("two, ", true), piece("three", false), piece("four", false))
    assert.deepStrictEqual(messages.map(({ message }) => Message.text(message)), ["one, two, three", "four"])
  })

  it("text and thinking grow until their message is complete", () => {
    const log = [
      known({ type: "reasoning", content: "Hm" }),
      known({ type: "reasoning", content: "m." }),
      known({ type: "text", content: "Hel" }),
      known({ type: "text", content: "lo" })
    ]
    const before = viewOf(...log)
    assert.deepStrictEqual([before.reasoning, before.text, before.messages.length], ["Hmm.", "Hello", 0])
    const after = viewOf(...log, assistant("Hello"))
    assert.deepStrictEqual([after.reasoning, after.text, after.messages.length], ["", "", 1])
    assert.isFalse(after.messages[0]?.partial)
  })

  it("a tool call is requested, waits for a decision, executes, and gets its result", () => {
    const call = { tool: "look", toolCallId: "a" }
    const log = [
      assistant("", "a"),
      known({ type: "tool_approval", ...call, args: { n: 1 } }),
      known({ type: "tool_approval", ...call, args: { n: 1 }, decision: { approved: true, args: { n: 2 } } }),
      known({ type: "tool_call", ...call, args: { n: 2 }, status: "executing" }),
      known({ type: "tool_progress", toolCallId: "a", data: 50 }),
      known({ type: "tool_result", ...call, result: "seen", status: "completed" })
    ]
    const statuses = log.map((_, i) => viewOf(...log.slice(0, i + 1)).toolCalls.map(({ status }) => status))
    assert.deepStrictEqual(statuses, [
      ["requested"],
      ["waiting"],
      ["requested"],
      ["executing"],
      ["executing"],
      ["completed"]
    ])
    assert.strictEqual(viewOf(...log.slice(0, 5)).toolCalls[0]?.progress, 50)
    const last = viewOf(...log).toolCalls
    assert.strictEqual(last.length, 1)
    assert.deepStrictEqual([last[0]?.args, last[0]?.result], [{ n: 2 }, "seen"])
  })

  it("retry discards the text of the failed try; the view says when the next try comes, until its first text", () => {
    const retry = known({ type: "retry", tryNumber: 2, delayMillis: 500, reason: "overloaded", discardAfter: 1 })
    const waiting = viewOf(assistant("kept"), known({ type: "text", content: "void" }), retry)
    assert.strictEqual(waiting.text, "")
    assert.strictEqual(waiting.messages.length, 1)
    assert.deepStrictEqual(waiting.retry, { tryNumber: 2, delayMillis: 500, reason: "overloaded" })
    assert.isUndefined(viewOf(retry, known({ type: "text", content: "now" })).retry)
    assert.isUndefined(viewOf(retry, assistant("now")).retry)
  })

  it("resumed discards unfinished text and the progress of open calls, but no results", () => {
    const call = { tool: "look", args: {}, status: "executing" as const }
    const resumed = viewOf(
      assistant("", "a", "b"),
      known({ type: "tool_call", toolCallId: "a", ...call }),
      known({ type: "tool_call", toolCallId: "b", ...call }),
      known({ type: "tool_result", tool: "look", toolCallId: "a", result: 1, status: "completed" }),
      known({ type: "tool_progress", toolCallId: "b", data: 50 }),
      known({ type: "resumed", attempt: 2, discardAfter: 4 })
    )
    assert.deepStrictEqual(resumed.toolCalls.map(({ progress, result }) => [progress, result]), [
      [undefined, 1],
      [undefined, undefined]
    ])
  })

  it("the request to a model is shown until its answer, its failure, a new owner or the end", () => {
    const asked = known({ type: "model_request", step: 2, tryNumber: 1, model: "small" })
    const begun = viewOf(assistant("", "a"), asked, known({ type: "text", content: "half" }))
    assert.deepStrictEqual(begun.request, { step: 2, tryNumber: 1, model: "small", at: 1 })
    const retry = known({ type: "retry", tryNumber: 2, delayMillis: 500, reason: "overloaded", discardAfter: 1 })
    const resumed = known({ type: "resumed", attempt: 2, discardAfter: 0 })
    for (const next of [assistant("whole"), retry, resumed, known({ type: "cancelled" })]) {
      assert.isUndefined(viewOf(asked, next).request)
    }
    assert.strictEqual(
      viewOf(asked, retry, known({ type: "model_request", step: 2, tryNumber: 2 })).request?.tryNumber,
      2
    )
  })

  it("why the task was taken up again is shown, and the gap; an earlier version wrote neither", () => {
    const lost = { attempt: 2, reason: "crash", gapMillis: 4_210 }
    assert.deepStrictEqual(viewOf(known({ type: "resumed", discardAfter: 0, ...lost })).resumed, lost)
    const { resumed } = viewOf(known({ type: "resumed", discardAfter: 0, attempt: 3 }))
    assert.deepStrictEqual(resumed, { attempt: 3, reason: undefined, gapMillis: undefined })
  })

  it("an output is shown, of its event or of `done` alone", () => {
    const done = known({ type: "done", usage: Usage.zero, output: { n: 2 } })
    assert.deepStrictEqual(viewOf(known({ type: "output", output: { n: 1 } })).output, { n: 1 })
    assert.deepStrictEqual(viewOf(done).output, { n: 2 })
  })

  it("a title is shown", () => {
    assert.strictEqual(viewOf(known({ type: "title", title: "Weather" })).title, "Weather")
  })

  it("after done, error and cancelled the view has the terminal status and no unfinished text", () => {
    const text = known({ type: "text", content: "half" })
    const done = viewOf(text, known({ type: "done", usage: { ...Usage.zero, requests: 1 } }))
    assert.deepStrictEqual([done.status, done.text, done.usage?.requests], ["completed", "", 1])
    const error = viewOf(text, known({ type: "error", error: "Timeout", detail: "Too long.", retryable: false }))
    assert.deepStrictEqual([error.status, error.text], ["error", ""])
    assert.deepStrictEqual(error.error, { error: "Timeout", detail: "Too long.", retryable: false })
    const cancelled = viewOf(text, known({ type: "cancelled" }))
    assert.deepStrictEqual([cancelled.status, cancelled.text], ["cancelled", ""])
  })

  it("applies every event of the golden file", () => {
    const decode = Schema.decodeUnknownSync(Schema.toCodecJson(TaskEvent.TaskEvent))
    const last = viewOf(...events.map(({ event }) => decode(event)))
    assert.strictEqual(last.cursor, events.length)
    assert.strictEqual(last.title, "Weather in Bergen")
  })
})
