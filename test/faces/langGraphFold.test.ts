/** The fold of the LangGraph face on random logs, read by the client itself: its parser, and the manager of its streams. */
import { afterAll, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import { Client, type Message } from "@langchain/langgraph-sdk"
import { MessageTupleManager, StreamManager } from "@langchain/langgraph-sdk/ui"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as RunEvents from "@perennial/http/faces/langgraph/RunEvents"
import * as RunState from "@perennial/http/faces/langgraph/RunState"
import { lines } from "./clients/langGraphRun.ts"
import { make, task } from "./randomLog.ts"

type Modes = ReadonlyArray<RunState.StreamMode>

interface Options {
  readonly after?: number
  readonly through?: number
  readonly modes?: Modes
}

const run = (
  log: ReadonlyArray<StoredEvent>,
  { after = 0, modes = RunState.streamModes, through = after }: Options = {}
) => {
  const range = { taskId: task.taskId, threadId: "c1", after, through, modes: new Set(modes) }
  let state = RunState.initial
  const frames: Array<RunState.Frame> = []
  for (const stored of log) {
    const made = RunEvents.step(range, state, stored)
    state = made.state
    frames.push(...made.frames)
  }
  return { frames, state }
}

/** The streams of a task, each of which answers the question of the one before. */
const runs = (log: ReadonlyArray<StoredEvent>, modes?: Options["modes"]) => {
  const all: Array<ReturnType<typeof run>> = []
  for (let after = 0;;) {
    const made = run(log, { after, ...(modes === undefined ? {} : { modes }) })
    if (made.frames.length > 0) all.push(made)
    if (!made.state.ended || made.state.pausedAt <= after) return all
    after = made.state.pausedAt
  }
}

interface Values extends Record<string, unknown> {
  messages?: Array<Message>
}

/** What a page shows after these streams. */
const read = async (streams: ReadonlyArray<ReadonlyArray<RunState.Frame>>) => {
  const manager = new StreamManager<Values>(new MessageTupleManager(), { throttle: false })
  const errors: Array<string> = []
  for (const frames of streams) {
    const body = frames.map(({ data, event, id }) => `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    const client = new Client({
      apiUrl: "http://localhost",
      apiKey: null,
      callerOptions: {
        fetch: async () => new Response(body.join(""), { headers: { "content-type": "text/event-stream" } })
      }
    })
    // oxlint-disable-next-line eslint/no-await-in-loop -- one stream after the other
    await manager.start(
      async (signal) => client.runs.joinStream("c1", "r1", { signal }) as never,
      {
        getMessages: (values) => values.messages ?? [],
        setMessages: (values, messages) => ({ ...values, messages }),
        initialValues: {},
        callbacks: {},
        onSuccess: () => undefined,
        onError: (error) => void errors.push(error instanceof Error ? error.message : String(error))
      }
    )
  }
  return { values: manager.values ?? {}, errors }
}

const seeds = Array.from({ length: 1_000 }, (_, i) => i)

const stored = (view: TaskView.TaskView, kind: "text" | "reasoning", open: boolean) =>
  view.messages.flatMap(({ message }) => message.content.map((part) => part.type === kind ? part.text : "")).join("")
  + (open ? view[kind] : "")

const shown = (messages: ReadonlyArray<Message>, kind: string) =>
  lines(messages).flatMap((line) => line.kind === kind ? [line.value] : []).join("")

const check = async (seed: number, modes: Modes) => {
  const where = `seed ${seed} ${modes.join()}`
  const log = make(seed)
  const view = log.reduce(TaskView.apply, TaskView.empty)
  const all = runs(log, modes)
  const { errors, values: { __interrupt__: interrupts, messages = [] } } = await read(all.map(({ frames }) => frames))
  assert.deepStrictEqual(errors, view.error === undefined ? [] : [view.error.detail], where)
  const open = modes.includes("messages-tuple")
  assert.strictEqual(shown(messages, "text"), stored(view, "text", open), where)
  assert.strictEqual(shown(messages, "reasoning"), stored(view, "reasoning", open), where)
  const results = messages.filter(({ type }) => type === "tool")
  assert.strictEqual(results.length, view.toolCalls.filter(({ result }) => result !== undefined).length, where)
  const last = all.at(-1)?.state
  const isAsked = last !== undefined && last.ended && RunState.isPaused(last)
  if (modes.includes("values") && isAsked) assert.lengthOf(interrupts as ReadonlyArray<unknown>, 1, where)
}

const modes: readonly [Modes, ...ReadonlyArray<Modes>] = [RunState.streamModes, ["values"], ["messages-tuple"]]

// The manager prints the errors of runs.
beforeAll(() => void vi.spyOn(console, "error").mockReturnValue())
afterAll(() => vi.restoreAllMocks())

describe("1,000 random logs", () => {
  it("the client accepts them, and shows what the task has: values, chunks, and everything", async () => {
    // oxlint-disable-next-line eslint/no-await-in-loop -- so that the first failure names its seed
    for (const seed of seeds) await check(seed, modes[seed % modes.length] ?? modes[0])
  })

  it("a frame never changes: what follows in the log only adds frames", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const all = runs(log)
      runs(log.slice(0, seed % (log.length + 1))).forEach(({ frames }, i) => {
        assert.deepStrictEqual(all[i]?.frames.slice(0, frames.length), frames, `seed ${seed}`)
      })
    }
  })

  it("ids grow, and are the same whichever modes a client asks for and wherever its stream begins", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const whole = run(log, { through: log.length })
      const ids = new Set(whole.frames.map(({ id }) => id))
      whole.frames.slice(1).forEach(({ id }, i) => {
        const before = RunState.parseId(whole.frames[i]?.id ?? "")
        assert(before !== undefined)
        assert.isTrue(RunState.isAfter(before)({ id, event: "", data: {} }), `seed ${seed} ${id}`)
      })
      const { frames } = run(log, { through: log.length, modes: ["messages-tuple"] })
      for (const { id } of frames) assert.isTrue(ids.has(id), `seed ${seed} ${id}`)
      const byId = new Map(whole.frames.map((frame) => [frame.id, frame]))
      for (const { frames } of runs(log).slice(1)) {
        for (const frame of frames) {
          const same = byId.get(frame.id)
          const isOpening = frame.event === "metadata" || frame.event === "values" || frame.event === "end"
          if (same !== undefined && !isOpening) assert.deepStrictEqual(same, frame, `seed ${seed} ${frame.id}`)
        }
      }
    }
  })
})
