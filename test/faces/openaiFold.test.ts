/** The fold of the OpenAI face on random logs, read by the client's own accumulator. */
import { assert, describe, it } from "@effect/vitest"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as ResponseEvents from "@perennial/http/faces/openai/ResponseEvents"
import * as ResponseState from "@perennial/http/faces/openai/ResponseState"
import { ResponseStream } from "openai/lib/responses/ResponseStream"
import type { Response } from "openai/resources/responses/responses"
import { make, task } from "./randomLog.ts"

const response = (log: ReadonlyArray<StoredEvent>, after: number) => {
  const head = { taskId: task.taskId, model: "a", after, previousResponseId: null, background: true, metadata: {} }
  let state = ResponseState.initial
  const events: Array<ResponseEvents.ResponseEvent> = []
  for (const stored of log) {
    const made = ResponseEvents.step(head, state, stored)
    state = made.state
    events.push(...made.events)
  }
  return { events, state, object: ResponseState.toObject(head, state) }
}

/** The responses of a task, each of which answers the question of the one before. */
const responses = (log: ReadonlyArray<StoredEvent>) => {
  const all: Array<ReturnType<typeof response>> = []
  for (let after = 0;;) {
    const made = response(log, after)
    all.push(made)
    if (made.state.status !== "completed" || made.state.pausedAt <= after) return all
    after = made.state.pausedAt
  }
}

/** What the client makes of the events. */
const read = async (events: ReadonlyArray<ResponseEvents.ResponseEvent>): Promise<Response> => {
  const utf8 = new TextEncoder()
  const lines = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const event of events) controller.enqueue(utf8.encode(`${JSON.stringify(event)}\n`))
      controller.close()
    }
  })
  return await ResponseStream.fromReadableStream(lines).finalResponse()
}

const textOf = (kind: "text" | "reasoning", { output }: Response): string =>
  output.map((item) => {
    if (kind === "text" && item.type === "message") {
      return item.content.map((part) => part.type === "output_text" ? part.text : "").join("")
    }
    return kind === "reasoning" && item.type === "reasoning"
      ? (item.content ?? []).map(({ text }) => text).join("")
      : ""
  }).join("")

const seeds = Array.from({ length: 1_000 }, (_, i) => i)

const check = async (seed: number) => {
  const where = `seed ${seed}`
  const log = make(seed)
  const view = log.reduce(TaskView.apply, TaskView.empty)
  const all = responses(log).filter(({ events }) => events.length > 0)
  const finals: Array<Response> = []
  for (const { events, object } of all) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- so that the first failure names its seed
    const final = await read(events)
    assert.deepStrictEqual(events.map((event) => event["sequence_number"]), events.map((_, i) => i), where)
    finals.push(final)
    if (object.status === "in_progress" || object.status === "queued") continue
    // What is streamed and what is retrieved are the same.
    assert.deepStrictEqual(final.output.map(({ id }) => id), object.output.map(({ id }) => id), where)
  }
  if (view.status === "queued" || view.status === "running") return
  const stored = (kind: "text" | "reasoning") =>
    view.messages.flatMap(({ message }) => message.content.map((part) => part.type === kind ? part.text : "")).join("")
  assert.strictEqual(finals.map((final) => textOf("text", final)).join(""), stored("text"), where)
  assert.strictEqual(finals.map((final) => textOf("reasoning", final)).join(""), stored("reasoning"), where)
  const calls = finals.flatMap(({ output }) => output.flatMap((item) => item.type === "mcp_call" ? [item.status] : []))
  assert.strictEqual(calls.length, view.toolCalls.length, where)
  assert.notInclude(calls, "in_progress", where)
}

describe("1,000 random logs", () => {
  it("the client's accumulator accepts them, and ends with what the task has", async () => {
    // oxlint-disable-next-line eslint/no-await-in-loop -- so that the first failure names its seed
    for (const seed of seeds) await check(seed)
  })

  it("an event of a response never changes: what follows in the log only adds events", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const all = responses(log)
      responses(log.slice(0, seed % (log.length + 1))).forEach(({ events }, i) => {
        assert.deepStrictEqual(all[i]?.events.slice(0, events.length), events, `seed ${seed}`)
      })
    }
  })
})
