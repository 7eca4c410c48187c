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
import * as UiResponse from "@perennial/http/faces/ai-sdk/UiResponse"
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

const head = { ...task, model: "a", after: 0, previousResponseId: null, background: true, metadata: {} }

const a2aHead = { taskId: task.taskId, contextId: task.conversationId, metadata: {}, input: undefined }

const a2a = (frame: (update: TaskUpdates.Update) => string) => (log: ReadonlyArray<StoredEvent>) => {
  let progress = TaskStream.unbegun
  return log.map((stored) => {
    const made = TaskStream.follow(a2aHead, { after: 1, purpose: "message" }, progress, stored)
    progress = made.progress
    return made.updates.map((update) => frame(update)).join("")
  })
}

const wires: { readonly [name: string]: (log: ReadonlyArray<StoredEvent>) => ReadonlyArray<string> } = {
  Perennial: (log) =>
    log.map(({ at, event, seq }) => `id: ${seq}\ndata: ${JSON.stringify({ ...toRaw(event), at })}\n\n`),
  "AI SDK": (log) => {
    let response = UiResponse.initial
    return log.map((stored) => {
      const made = UiResponse.step(response, stored, { messageId: task.taskId, after: 0 })
      response = made.response
      return made.chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")
    })
  },
  OpenAI: (log) => {
    let state = ResponseState.initial
    return log.map((stored) => {
      const made = ResponseEvents.step(head, state, stored)
      state = made.state
      return made.events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")
    })
  },
  "A2A, JSON-RPC": a2a((result) => `data: ${JSON.stringify({ jsonrpc: "2.0", id: 1, result })}\n\n`),
  "A2A, HTTP+JSON": a2a((update) => `data: ${JSON.stringify(update)}\n\n`)
}

const utf8 = new TextEncoder()

const measure = (wire: (log: ReadonlyArray<StoredEvent>) => ReadonlyArray<string>) => {
  const bytes = wire(makeLog()).slice(2, 2 + deltas).reduce((sum, text) => sum + utf8.encode(text).length, 0) / deltas
  const micros: Array<number> = []
  for (let round = 0; round < 30; round++) {
    const log = makeLog()
    const { system, user } = process.cpuUsage()
    for (const text of wire(log)) utf8.encode(text)
    const spent = process.cpuUsage({ system, user })
    micros.push((spent.user + spent.system) / deltas)
  }
  const median = micros.toSorted((a, b) => a - b)[15] ?? Number.NaN
  return { bytes, median }
}

console.log("| stream | bytes per delta | CPU per delta |\n| --- | --- | --- |")
for (const [name, wire] of Object.entries(wires)) {
  const { bytes, median } = measure(wire)
  console.log(`| ${name} | ${bytes.toFixed(0)} | ${median.toFixed(1)} µs |`)
}
