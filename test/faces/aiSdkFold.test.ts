/** The fold of the AI SDK face on random logs, read by the client's own parser. */
import { assert, describe, it } from "@effect/vitest"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import type { Chunk } from "@perennial/http/faces/ai-sdk/UiMessageStream"
import * as UiResponse from "@perennial/http/faces/ai-sdk/UiResponse"
import { readUIMessageStream, type UIMessage, type UIMessageChunk, uiMessageChunkSchema } from "ai"
import { make, task } from "./randomLog.ts"

const messageId = task.taskId

const response = (log: ReadonlyArray<StoredEvent>, after: number, through?: number) => {
  let made = UiResponse.initial
  const chunks: Array<Chunk> = []
  for (const stored of log) {
    if (made.ended) break
    const step = UiResponse.step(made, stored, { messageId, after, through })
    made = step.response
    chunks.push(...step.chunks)
  }
  return { chunks, response: made }
}

/** Everything from the beginning, as a page gets it that is loaded again. */
const replay = (log: ReadonlyArray<StoredEvent>) => response(log, 0, log.length)

/** The responses of a client that was there all the time. */
const responses = (log: ReadonlyArray<StoredEvent>) => {
  const all: Array<ReturnType<typeof response>> = []
  for (let after = 0;;) {
    const made = response(log, after)
    all.push(made)
    if (!made.response.ended || made.response.state.ended) return all
    after = made.response.pausedAt
  }
}

const validate = async (chunk: Chunk): Promise<UIMessageChunk> => {
  const schema = uiMessageChunkSchema()
  const result = await schema.validate?.(chunk)
  if (result?.success === true) return result.value
  throw new Error(`the client does not know ${JSON.stringify(chunk)}`)
}

/** What the client makes of the chunks. Its reader reports `error`, and goes on. */
const read = async (chunks: ReadonlyArray<Chunk>, before: UIMessage | undefined) => {
  const checked: Array<UIMessageChunk> = []
  // oxlint-disable-next-line eslint/no-await-in-loop -- they are few
  for (const chunk of chunks) checked.push(await validate(chunk))
  const errors: Array<string> = []
  let message = before
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      for (const chunk of checked) controller.enqueue(chunk)
      controller.close()
    }
  })
  const options = before === undefined ? {} : { message: structuredClone(before) }
  const onError = (error: unknown) => void errors.push(error instanceof Error ? error.message : String(error))
  for await (const update of readUIMessageStream({ ...options, stream, onError })) message = update
  return { message, errors }
}

const textOf = (kind: "text" | "reasoning", message: UIMessage | undefined) =>
  (message?.parts ?? []).map((part) => part.type === kind ? part.text : "").join("")

const toolsOf = (message: UIMessage | undefined) =>
  new Map(
    (message?.parts ?? []).flatMap((part) =>
      part.type === "dynamic-tool" ? [[part.toolCallId, part.state] as const] : []
    )
  )

const states: { readonly [status in TaskView.ToolCallView["status"]]: ReadonlyArray<string> } = {
  requested: ["input-available", "approval-responded"],
  waiting: ["approval-requested"],
  executing: ["input-available", "approval-responded"],
  completed: ["output-available"],
  error: ["output-error", "output-denied"],
  interrupted: ["output-error", "output-denied"]
}

const check = async (seed: number) => {
  const log = make(seed)
  const where = `seed ${seed}`
  const view = log.reduce(TaskView.apply, TaskView.empty)
  const stored = (kind: "text" | "reasoning") =>
    view.messages.flatMap(({ message }) => message.content.map((part) => part.type === kind ? part.text : "")).join(
      ""
    ) +
    view[kind]
  const failed = view.error === undefined ? [] : [view.error.detail]

  const page = await read(replay(log).chunks, undefined)
  assert.deepStrictEqual(page.errors, failed, where)
  let message: UIMessage | undefined
  const errors: Array<string> = []
  for (const { chunks } of responses(log)) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one goes on where the other ended
    const got = await read(chunks, message)
    errors.push(...got.errors)
    message = got.message
  }
  assert.deepStrictEqual(errors, failed, where)
  for (const shown of [page.message, message]) {
    assert.strictEqual(shown?.id, messageId)
    assert.strictEqual(textOf("text", shown), stored("text"), where)
    assert.strictEqual(textOf("reasoning", shown), stored("reasoning"), where)
    const tools = toolsOf(shown)
    assert.deepStrictEqual(
      [...tools.keys()].toSorted(),
      view.toolCalls.map(({ toolCallId }) => toolCallId).toSorted(),
      where
    )
    for (const { status, toolCallId } of view.toolCalls) assert.include(states[status], tools.get(toolCallId), where)
    const charts = (shown?.parts ?? []).filter((part) => part.type === "data-chart")
    assert.strictEqual(charts.length, view.data.length, where)
  }
}

const seeds = Array.from({ length: 1_000 }, (_, i) => i)

describe("1,000 random logs", () => {
  it("the client shows what the task has, whether it was there all the time or loads the page again", async () => {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other, so that the first failure names its seed
    for (const seed of seeds) await check(seed)
  })

  it("a chunk of a response never changes: what follows in the log only adds chunks", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const all = responses(log)
      responses(log.slice(0, seed % (log.length + 1))).forEach(({ chunks }, i) => {
        assert.deepStrictEqual(all[i]?.chunks.slice(0, chunks.length), chunks, `seed ${seed}`)
      })
    }
  })

  it("the logs have every kind of chunk and of end", () => {
    const seen = new Map<string, number>()
    for (const seed of seeds) {
      const made = responses(make(seed))
      const types = new Set(made.flatMap(({ chunks }) => chunks.map(({ type }) => type)))
      if (made.length > 1) types.add("two responses")
      for (const type of types) seen.set(type, (seen.get(type) ?? 0) + 1)
    }
    for (const [type, logs] of seen) assert.isAtLeast(logs, 50, type)
    assert.containsAllKeys(seen, [
      "two responses",
      "reset-step",
      "abort",
      "error",
      "tool-approval-request",
      "tool-approval-response",
      "tool-output-denied",
      "data-tool-progress"
    ])
  })
})
