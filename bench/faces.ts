/**
 * What a face costs for each delta of a text beside Perennial's own stream: bytes on the wire, and CPU of the fold and the encoding
 * for one reader. Readers of Perennial's own stream share the encoded bytes; each reader of a face has a fold of its own.
 * `node bench/faces.ts`
 */
import { toRaw } from "@perennial/domain/EventPayload"
import * as Ids from "@perennial/domain/Ids"
import type { StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import * as TaskStream from "@perennial/http/faces/a2a/TaskStream"
import type * as TaskUpdates from "@perennial/http/faces/a2a/TaskUpdates"
import * as AgUiEvents from "@perennial/http/faces/ag-ui/AgUiEvents"
import * as AgUiRun from "@perennial/http/faces/ag-ui/AgUiRun"
import * as UiResponse from "@perennial/http/faces/ai-sdk/UiResponse"
import * as RunEvents from "@perennial/http/faces/langgraph/RunEvents"
import * as RunState from "@perennial/http/faces/langgraph/RunState"
import * as McpCall from "@perennial/http/faces/mcp/McpCall"
import * as McpMessages from "@perennial/http/faces/mcp/McpMessages"
import * as ResponseEvents from "@perennial/http/faces/openai/ResponseEvents"
import * as ResponseState from "@perennial/http/faces/openai/ResponseState"

const deltas = 2_000
const task = {
  taskId: Ids.TaskId.make("01a2061b-4b6f-773b-924f-a99c20363c38"),
  conversationId: Ids.ConversationId.make("c1")
}
const words = Array.from({ length: deltas }, (_, i) => `word${i % 10} `)

/** Fresh objects each time: bytes that are kept for an event cost nothing the second time. */
const makeLog = (): ReadonlyArray<StoredEvent> => {
  const events: ReadonlyArray<TaskEvent> = [
    { type: "ack", ...task, messageId: Ids.messageId(task.taskId, 1) },
    { type: "started", ...task, attempt: 1 },
    ...words.map((content) => ({ type: "text" as const, ...task, content })),
    {
      type: "message",
      ...task,
      message: { role: "assistant", content: [{ type: "text", text: words.join("") }] },
      usage: Usage.zero
    },
    { type: "done", ...task, usage: Usage.zero }
  ]
  return events.map((event, i) => ({ seq: i + 1, at: 1_767_268_800_000 + i, event }))
}

interface Stepped<State> {
  readonly state: State
  readonly text: string
}

/** The texts of a fold, one for each event. */
const folded = <State>(initial: State, step: (state: State, stored: StoredEvent) => Stepped<State>) => {
  let state = initial
  return (stored: StoredEvent): string => {
    const made = step(state, stored)
    state = made.state
    return made.text
  }
}

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`

const response = { ...task, model: "a", after: 0, previousResponseId: null, background: true, metadata: {} }
const run = { taskId: task.taskId, threadId: "c1", runId: "r1", after: 0, messages: [], stale: [] }
const card = { taskId: task.taskId, contextId: task.conversationId, metadata: {}, input: undefined }
const range = {
  taskId: task.taskId,
  threadId: "c1",
  after: 0,
  through: 0,
  modes: new Set(["messages-tuple"] as const)
}
const call = {
  id: 1,
  taskId: task.taskId,
  after: 0,
  progressToken: 1,
  asks: "never",
  modern: false,
  ofTask: false,
  primed: true
} as const
const callId = McpCall.streamId(call)

const a2a = (frame: (update: TaskUpdates.Update) => string) => () =>
  folded(TaskStream.unbegun, (before, stored) => {
    const { progress, updates } = TaskStream.follow(card, { after: 1, purpose: "message" }, before, stored)
    return { state: progress, text: updates.map((update) => frame(update)).join("") }
  })

/** Each a new reader. */
const readers: { readonly [name: string]: () => (stored: StoredEvent) => string } = {
  Perennial: () => ({ at, event, seq }) => `id: ${seq}\n${data({ ...toRaw(event), at })}`,
  "AI SDK": () =>
    folded(UiResponse.initial, (state, stored) => {
      const made = UiResponse.step(state, stored, { messageId: task.taskId, after: 0 })
      return { state: made.response, text: made.chunks.map(data).join("") }
    }),
  OpenAI: () =>
    folded(ResponseState.initial, (before, stored) => {
      const { events, state } = ResponseEvents.step(response, before, stored)
      return { state, text: events.map((event) => `event: ${event.type}\n${data(event)}`).join("") }
    }),
  "AG-UI": () =>
    folded(AgUiRun.initial, (before, stored) => {
      const { events, state } = AgUiEvents.step(run, before, stored)
      return { state, text: events.map(data).join("") }
    }),
  "A2A, JSON-RPC": a2a((result) => data({ jsonrpc: "2.0", id: 1, result })),
  "A2A, HTTP+JSON": a2a(data),
  "LangGraph, `messages-tuple`": () =>
    folded(RunState.initial, (before, stored) => {
      const { frames, state } = RunEvents.step(range, before, stored)
      return {
        state,
        text: frames.map((frame) => `id: ${frame.id}\nevent: ${frame.event}\n${data(frame.data)}`).join("")
      }
    }),
  "MCP, with progress": () =>
    folded(McpCall.initial, (before, stored) => {
      const { messages, state } = McpMessages.step(call, before, stored)
      return {
        state,
        text: messages.map((message, i) => `id: ${callId}.${before.count + i}\n${data(message)}`).join("")
      }
    })
}

const utf8 = new TextEncoder()

const measure = (reader: () => (stored: StoredEvent) => string) => {
  const frames = makeLog().map(reader()).slice(2, 2 + deltas)
  const bytes = frames.reduce((sum, text) => sum + utf8.encode(text).length, 0) / deltas
  const micros: Array<number> = []
  for (let round = 0; round < 30; round++) {
    const log = makeLog()
    const { system, user } = process.cpuUsage()
    const read = reader()
    for (const stored of log) utf8.encode(read(stored))
    const spent = process.cpuUsage({ system, user })
    micros.push((spent.user + spent.system) / deltas)
  }
  const median = micros.toSorted((a, b) => a - b)[15] ?? Number.NaN
  return { bytes, median }
}

console.log("| stream | bytes per delta | CPU per delta |\n| --- | --- | --- |")
for (const [name, reader] of Object.entries(readers)) {
  const { bytes, median } = measure(reader)
  console.log(`| ${name} | ${bytes.toFixed(0)} | ${median.toFixed(1)} µs |`)
}
