/** The fold of the A2A face on random logs, read by the parser of the SDK. */
import { Role, StreamResponse, Task } from "@a2a-js/sdk"
import { assert, describe, it } from "@effect/vitest"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import * as A2aTask from "@perennial/http/faces/a2a/A2aTask"
import * as TaskStream from "@perennial/http/faces/a2a/TaskStream"
import * as TaskUpdates from "@perennial/http/faces/a2a/TaskUpdates"
import * as Client from "./clients/a2aTask.ts"
import { make, task } from "./randomLog.ts"

const head: A2aTask.Head = { taskId: task.taskId, contextId: task.conversationId, metadata: {}, input: undefined }

const parse = (update: unknown): StreamResponse => {
  const wire: unknown = JSON.parse(JSON.stringify(update))
  const parsed = StreamResponse.fromJSON(wire)
  // The parser passes over what it does not know: everything must come out again.
  assert.deepStrictEqual(StreamResponse.toJSON(parsed), withoutDefaults(wire))
  return parsed
}

/** Protocol Buffers in JSON leave out what is false or empty. */
const isDefault = (value: unknown): boolean => value === false || (Array.isArray(value) && value.length === 0)

const withoutDefaults = (wire: unknown): unknown =>
  JSON.parse(
    JSON.stringify(
      wire,
      (key, value) => ["append", "artifacts"].includes(key) && isDefault(value) ? undefined : value
    )
  )

/** What a stream sends that begins at `after`, and the seq of its last event if it ends. */
const read = (log: ReadonlyArray<StoredEvent>, after: number, purpose: TaskStream.Purpose) => {
  let progress = TaskStream.unbegun
  const updates: Array<TaskUpdates.Update> = []
  for (const stored of log) {
    const made = TaskStream.follow(head, { after, purpose }, progress, stored)
    progress = made.progress
    updates.push(...made.updates)
    if (made.isLast) return { updates, endedAt: stored.seq }
  }
  return { updates, endedAt: undefined }
}

/** What a client has that subscribes again where a stream has ended because a person was asked. */
const watch = (log: ReadonlyArray<StoredEvent>, from: number) => {
  let task: Task | undefined
  for (let after = from;;) {
    const { endedAt, updates } = read(log, after, "subscription")
    for (const update of updates) task = Client.apply(task, parse(update))
    if (endedAt === undefined || endedAt <= after) return task
    after = endedAt
  }
}

const get = (log: ReadonlyArray<StoredEvent>) => {
  const state = log.reduce((state, stored) => TaskUpdates.step(head, state, stored).state, A2aTask.initial)
  return { state, object: Task.fromJSON(JSON.parse(JSON.stringify(A2aTask.toObject(head, state)))) }
}

const agentMessages = (task: Task) => Client.messagesOf(task).filter(({ role }) => role === Role.ROLE_AGENT)

const textsOf = (task: Task) =>
  task.artifacts
    .map(({ artifactId, parts }) => ({ artifactId, text: Client.textOf(parts) }))
    .filter(({ text }) => text !== "")

const seeds = Array.from({ length: 1_000 }, (_, i) => i)

describe("1,000 random logs", () => {
  it("the parser accepts them, and a subscription from any event ends with the task that is retrieved", () => {
    for (const seed of seeds) {
      const where = `seed ${seed}`
      const log = make(seed)
      const { object } = get(log)
      for (const after of [1 + seed % log.length]) {
        const watched = watch(log, after)
        assert(watched !== undefined, where)
        assert.deepStrictEqual(textsOf(watched), textsOf(object), where)
        assert.deepStrictEqual(watched.status?.state, object.status?.state, where)
        assert.deepStrictEqual(
          agentMessages(watched).map(({ messageId }) => messageId),
          agentMessages(object).map(({ messageId }) => messageId),
          where
        )
      }
    }
  })

  it("the task that is retrieved has what the task has", () => {
    for (const seed of seeds) {
      const where = `seed ${seed}`
      const log = make(seed)
      const view = log.reduce(TaskView.apply, TaskView.empty)
      const { object } = get(log)
      const shown = Client.lines(object)
      const stored = (kind: "text" | "reasoning") =>
        view.messages.flatMap(({ message }) => message.content.map((part) => part.type === kind ? part.text : "")).join(
          ""
        )
      const joined = (kind: string) => shown.flatMap((line) => line.kind === kind ? [line.value] : []).join("")
      assert.strictEqual(joined("text"), stored("text") + view.text, where)
      assert.strictEqual(joined("reasoning"), stored("reasoning"), where)
      assert.lengthOf(shown.filter(({ kind }) => kind === "call"), view.toolCalls.length, where)
      assert.lengthOf(
        shown.filter(({ kind }) => kind === "result"),
        view.toolCalls.filter(({ result }) => result !== undefined).length,
        where
      )
      const states = { queued: 1, running: 2, completed: 3, error: 4, cancelled: 5 }
      const open = view.toolCalls.filter(({ result }) => result === undefined)
      const waits = view.status === "running" && open.length > 0 && open.every(({ status }) => status === "waiting")
      assert.strictEqual(object.status?.state, waits ? 6 : states[view.status], where)
      if (view.error !== undefined) {
        assert.strictEqual(Client.textOf(object.status?.message?.parts ?? []), view.error.detail, where)
      }
    }
  })

  it("an element of a stream never changes: what follows in the log only adds elements", () => {
    for (const seed of seeds) {
      const log = make(seed)
      const after = 1 + seed % log.length
      const { updates } = read(log.slice(0, seed % (log.length + 1)), after, "subscription")
      assert.deepStrictEqual(read(log, after, "subscription").updates.slice(0, updates.length), updates, `seed ${seed}`)
    }
  })

  it("an answer to a message ends where a person is asked, and the answer to the decision begins where the task goes on", () => {
    let questions = 0
    for (const seed of seeds) {
      const log = make(seed)
      const { endedAt, updates } = read(log, 1, "message")
      if (endedAt === undefined || endedAt === log.length) continue
      questions++
      const last = updates.reduce<Task | undefined>((task, update) => Client.apply(task, parse(update)), undefined)
      assert(last !== undefined, `seed ${seed}`)
      assert.strictEqual(last.status?.state, 6, `seed ${seed}`)
      const [first] = read(log, endedAt, "decision").updates
      if (first === undefined) continue
      const next = Client.apply(undefined, parse(first))
      const [before, after] = [last, next].map((task) => Client.messagesOf(task).map(({ messageId }) => messageId))
      assert.includeMembers(after ?? [], before ?? [], `seed ${seed}`)
      assert.isAbove(after?.length ?? 0, before?.length ?? 0, `seed ${seed}`)
    }
    assert.isAbove(questions, 20)
  })
})
