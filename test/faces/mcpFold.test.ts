/** The fold of the MCP face on random logs, through the client's own schemas. */
import { assert, describe, it } from "@effect/vitest"
import {
  CallToolResultSchema,
  CancelledNotificationSchema,
  ElicitRequestSchema,
  JSONRPCMessageSchema,
  ProgressNotificationSchema
} from "@modelcontextprotocol/sdk/types.js"
import * as Message from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as McpCall from "@perennial/http/faces/mcp/McpCall"
import * as McpMessages from "@perennial/http/faces/mcp/McpMessages"
import { Option } from "effect"
import { make, task } from "./randomLog.ts"

type Asks = McpCall.Head["asks"]

const headOf = (asks: Asks, after: number): McpCall.Head => ({
  id: 7,
  taskId: task.taskId,
  after,
  progressToken: 7,
  asks,
  modern: asks === "result",
  ofTask: false,
  primed: true
})

const run = (log: ReadonlyArray<StoredEvent>, head: McpCall.Head) => {
  let state = McpCall.initial
  let endedAt = 0
  const messages: Array<McpMessages.ServerMessage> = []
  for (const stored of log) {
    const made = McpMessages.step(head, state, stored)
    if (made.state.ended && !state.ended) endedAt = stored.seq
    state = made.state
    messages.push(...made.messages)
  }
  assert.strictEqual(state.count, messages.length)
  return { messages, endedAt }
}

/** The text of the newest complete message. */
const answerOf = ({ messages }: TaskView.TaskView): string => {
  let [answer, pieces] = ["", ""]
  for (const { continued = false, message } of messages) {
    pieces += Message.text(message)
    if (continued) continue
    answer = pieces
    pieces = ""
  }
  return answer
}

/** What the client reads, up to the result. */
const read = (messages: ReadonlyArray<McpMessages.ServerMessage>, where: string) => {
  let progress = 0
  const asked = new Set<string>()
  const open = new Set<string>()
  let result: unknown
  for (const message of messages) {
    JSONRPCMessageSchema.parse(message)
    switch (message["method"]) {
      case "notifications/progress": {
        const { params } = ProgressNotificationSchema.parse(message)
        assert.isAbove(params.progress, progress, where)
        progress = params.progress
        break
      }
      case "elicitation/create":
        ElicitRequestSchema.parse(message)
        assert.isFalse(open.has(String(message["id"])), `${where}: a question is asked twice`)
        open.add(String(message["id"]))
        asked.add(String(message["id"]))
        break
      case "notifications/cancelled":
        assert.isTrue(open.delete(String(CancelledNotificationSchema.parse(message).params.requestId)), where)
        break
      default:
        assert.isUndefined(result, `${where}: two results`)
        result = message["result"]
    }
  }
  return { result, asked }
}

const textsOf = (result: unknown) =>
  CallToolResultSchema.parse(result).content.map((part) => part.type === "text" ? part.text : part.type)

const check = (seed: number, asks: Asks) => {
  const where = `seed ${seed}, ${asks}`
  const log = make(seed)
  const view = log.reduce(TaskView.apply, TaskView.empty)
  let result: unknown
  for (let after = 0;;) {
    const { endedAt, messages } = run(log, headOf(asks, after))
    const call = read(messages, where)
    result = call.result
    if (asks === "request") {
      const all = log.flatMap(({ event }) =>
        event.type === "tool_approval" && event.decision === undefined ? [`t1/${event.toolCallId}`] : []
      )
      assert.deepStrictEqual([...call.asked].toSorted(), [...new Set(all)].toSorted(), where)
    }
    const isPause = Object(result).resultType === "input_required"
      || (asks === "never" && result !== undefined && textsOf(result)[0]?.startsWith("The agent waits") === true)
    if (!isPause) break
    assert.isAbove(endedAt, after, where)
    after = endedAt
  }
  const answer = answerOf(view)
  const isPartial = view.messages.at(-1)?.partial === true
  switch (view.status) {
    case "completed":
      return assert.deepStrictEqual(textsOf(result), [answer], where)
    case "error":
    case "cancelled": {
      const texts = textsOf(result)
      assert.strictEqual(Object(result).isError, true, where)
      assert.deepStrictEqual(texts.slice(0, -1), isPartial && answer !== "" ? [answer] : [], where)
      if (view.error !== undefined) assert.strictEqual(texts.at(-1), view.error.detail, where)
      return
    }
    default:
      return assert.isUndefined(result, where)
  }
}

const seeds = Array.from({ length: 1_000 }, (_, i) => i)
const ways = ["request", "result", "never"] as const

describe("1,000 random logs", () => {
  for (const asks of ways) {
    it(`the client's schemas accept them, and the result is what the task has (${asks})`, () => {
      for (const seed of seeds) check(seed, asks)
    })
  }

  it("a message of a call never changes: what follows in the log only adds messages", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const head = headOf(ways[seed % 3] ?? "never", 0)
      const { messages } = run(log.slice(0, seed % (log.length + 1)), head)
      assert.deepStrictEqual(run(log, head).messages.slice(0, messages.length), messages, `seed ${seed}`)
    }
  })

  it("the id of an event says which call it is of", () => {
    const head = { ...headOf("request", 12), id: "ä/.", progressToken: "p.1" }
    assert.deepStrictEqual(McpCall.parseEventId(`${McpCall.streamId(head)}.3`), Option.some({ head, count: 3 }))
    for (const id of ["", ".", "x.1", `${McpCall.streamId(head)}`, `${McpCall.streamId(head)}.x`, "e30.1"]) {
      assert.isTrue(Option.isNone(McpCall.parseEventId(id)), id)
    }
  })
})
