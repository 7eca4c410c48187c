/** The fold of the AG-UI face on random logs, through the client's own verifier and reducer. */
import { HttpAgent, type Message } from "@ag-ui/client"
import { assert, describe, it } from "@effect/vitest"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as AgUiEvents from "@perennial/http/faces/ag-ui/AgUiEvents"
import * as AgUiRun from "@perennial/http/faces/ag-ui/AgUiRun"
import { make, task } from "./randomLog.ts"

const run = (log: ReadonlyArray<StoredEvent>, after: number, messages: ReadonlyArray<Message>) => {
  const base = messages.map((message): AgUiRun.AgUiMessage => JSON.parse(JSON.stringify(message)))
  const head = { taskId: task.taskId, threadId: "c1", runId: `r${after}`, after, messages: base, stale: [] }
  let state = AgUiRun.initial
  const events: Array<AgUiRun.AgUiEvent> = []
  for (const stored of log) {
    const made = AgUiEvents.step(head, state, stored)
    state = made.state
    events.push(...made.events)
  }
  return { events, state }
}

const seeds = Array.from({ length: 1_000 }, (_, i) => i)

const question: Message = { id: "m1", role: "user", content: "Hello" }

/** What the client shows after all runs of a task, each of which answers the interrupts of the one before. */
const read = async (log: ReadonlyArray<StoredEvent>) => {
  const errors: Array<string> = []
  let body = ""
  const agent = new HttpAgent({
    url: "http://localhost/ag-ui",
    threadId: "c1",
    initialMessages: [question],
    fetch: async () => new Response(body, { headers: { "content-type": "text/event-stream" } })
  })
  for (let after = 0;;) {
    const { events, state } = run(log, after, agent.messages)
    if (events.length === 0) break
    body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
    const resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "cancelled" as const }))
    // oxlint-disable-next-line eslint/no-await-in-loop -- one run after the other
    await agent.runAgent({ runId: `r${after}`, ...(resume.length === 0 ? {} : { resume }) }, {
      onRunErrorEvent: ({ event }) => void errors.push(event.message)
    })
    if (!state.ended || state.pausedAt <= after) break
    after = state.pausedAt
  }
  return { messages: agent.messages, errors }
}

const check = async (seed: number) => {
  const where = `seed ${seed}`
  const log = make(seed)
  const view = log.reduce(TaskView.apply, TaskView.empty)
  const { errors, messages } = await read(log)
  assert.deepStrictEqual(errors, view.error === undefined ? [] : [view.error.detail], where)
  const stored = (kind: "text" | "reasoning") =>
    view.messages.flatMap(({ message }) => message.content.map((part) => part.type === kind ? part.text : "")).join(
      ""
    ) +
    view[kind]
  const shown = (role: Message["role"]) =>
    messages.map((message) => message.role === role ? String(message.content ?? "") : "").join("")
  assert.strictEqual(shown("assistant"), stored("text"), where)
  assert.strictEqual(shown("reasoning"), stored("reasoning"), where)
  const calls = messages.flatMap((message) => message.role === "assistant" ? message.toolCalls ?? [] : [])
  assert.deepStrictEqual(
    calls.map(({ id }) => id).toSorted(),
    view.toolCalls.map(({ toolCallId }) => toolCallId).toSorted(),
    where
  )
  const results = messages.filter(({ role }) => role === "tool")
  assert.strictEqual(results.length, view.toolCalls.filter(({ result }) => result !== undefined).length, where)
}

describe("1,000 random logs", () => {
  it("the client's verifier accepts them, and it shows what the task has", async () => {
    // oxlint-disable-next-line eslint/no-await-in-loop -- so that the first failure names its seed
    for (const seed of seeds) await check(seed)
  })

  it("an event of a run never changes: what follows in the log only adds events", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const { events } = run(log.slice(0, seed % (log.length + 1)), 0, [question])
      assert.deepStrictEqual(run(log, 0, [question]).events.slice(0, events.length), events, `seed ${seed}`)
    }
  })
})
