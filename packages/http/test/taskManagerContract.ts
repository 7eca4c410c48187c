/**
 * The suite for a `TaskManager`. In process and over HTTP it has the same results and the same errors.
 */
import { assert, describe, it } from "@effect/vitest"
import { AgentId, ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import * as TaskError from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { awaitOutput, TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import type { TaskLimits } from "@perennial/runtime/TaskLimits"
import { Effect, Fiber, type Latch, Latch as Latches, Schema, type Scope, Stream } from "effect"

export interface Fixture {
  readonly manager: TaskManager["Service"]
  /** The word `hold` in a message waits until this latch is open. */
  readonly gate: Latch.Latch
  /** Removes the logs of all tasks that have ended. */
  readonly expire: Effect.Effect<void>
}

export type MakeFixture = (limits?: Partial<TaskLimits>) => Effect.Effect<Fixture, never, Scope.Scope>

const c1 = ConversationId.make("c1")
const unknown = TaskId.make("unknown")

const types = (events: ReadonlyArray<StoredEvent>) => events.map(({ event }) => event.type)

const read = (manager: Fixture["manager"], id: TaskId, after?: number) =>
  Effect.flatMap(manager.events(id, { after }), Stream.runCollect)

/** Starts a task, and waits for its event `seq`. */
export const startAndReach = Effect.fnUntraced(
  function*(manager: Fixture["manager"], seq: number, input: Parameters<Fixture["manager"]["start"]>[0]) {
    const task = yield* manager.start(input)
    yield* Stream.runDrain(Stream.take(yield* manager.events(task.id), seq))
    return task
  }
)

export const contract = (name: string, makeFixture: MakeFixture) => {
  describe(`${name}: outputs`, () => {
    it.live("the output of a task is in its record and its result, and has the type of a schema", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const output = Schema.Struct({ words: Schema.Int, at: Schema.Date })
        const { id } = yield* manager.start({ message: "output" })
        const value = yield* Effect.provideService(awaitOutput(id, { output }), TaskManager, manager)
        assert.deepStrictEqual(value, { words: 1, at: new Date("2026-11-30T12:00:00.000Z") })
        const stored = { words: 1, at: "2026-11-30T12:00:00.000Z" }
        assert.deepStrictEqual((yield* manager.await(id)).output, stored)
        const last = (yield* read(manager, id)).at(-1)?.event
        assert.deepInclude(last, { type: "done", output: stored })
        const without = yield* manager.start({ message: "a" })
        const error = yield* Effect.flip(
          Effect.provideService(awaitOutput(without.id, { output }), TaskManager, manager)
        )
        assert.strictEqual(error._tag, "NoOutput")
      }))
  })

  describe(`${name}: start`, () => {
    it.live("P1, P3: stores a task, runs it, and streams each of its events once, after any seq", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const task = yield* manager.start({ message: "a b", conversationId: "c1", metadata: { order: 7 } })
        assert.strictEqual(task.conversationId, c1)
        assert.strictEqual(task.agentId, "echo")
        assert.deepStrictEqual(task.metadata, { order: 7 })
        const events = yield* read(manager, task.id)
        assert.deepStrictEqual(types(events), ["ack", "started", "text", "text", "message", "done"])
        for (let after = 1; after <= 6; after++) {
          assert.deepStrictEqual(yield* read(manager, task.id, after), events.slice(after))
        }
        const ended = yield* manager.get(task.id)
        assert.strictEqual(ended.status, "completed")
        assert.strictEqual(ended.lastSeq, 6)
        const opened = yield* manager.open(task.id, { after: 4 })
        assert.deepStrictEqual(opened.task, ended)
        assert.deepStrictEqual(types(yield* Stream.runCollect(opened.events)), ["message", "done"])
        assert.deepStrictEqual(yield* manager.await(task.id), {
          task: ended,
          message: { role: "assistant", content: [{ type: "text", text: "done" }] },
          usage: zero
        })
      }))

    it.live("P2: `onBusy` rejects a start in a busy conversation, queues it, or interrupts the active task", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture({ queuedPerConversation: 1 })
        const first = yield* startAndReach(manager, 3, { message: "a hold", conversationId: "c1" })
        const again = (onBusy: "reject" | "enqueue" | "interrupt") =>
          manager.start({ message: "b", conversationId: "c1", onBusy })
        assert.deepStrictEqual(
          yield* Effect.flip(again("reject")),
          new TaskError.ConversationBusy({ conversationId: c1, activeTaskId: first.id })
        )
        const queued = yield* again("enqueue")
        assert.deepStrictEqual(
          yield* Effect.flip(again("enqueue")),
          new TaskError.QueueFull({ conversationId: c1, limit: 1 })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(manager.deleteConversation(c1)),
          new TaskError.ConversationBusy({ conversationId: c1, activeTaskId: first.id })
        )
        const last = yield* again("interrupt")
        assert.strictEqual((yield* manager.await(first.id)).task.status, "cancelled")
        assert.strictEqual((yield* manager.await(queued.id)).task.status, "cancelled")
        yield* gate.open
        assert.strictEqual((yield* manager.await(last.id)).task.status, "completed")
      }))

    it.live("an idempotency key belongs to one request", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const first = yield* manager.start({ message: "a", idempotencyKey: "k", logContext: { try: "1" } })
        const again = yield* manager.start({ message: "a", idempotencyKey: "k", logContext: { try: "2" } })
        assert.strictEqual(again.id, first.id)
        assert.deepStrictEqual(
          yield* Effect.flip(manager.start({ message: "b", idempotencyKey: "k" })),
          new TaskError.IdempotencyConflict({ idempotencyKey: "k" })
        )
        const other = yield* manager.start({ message: "a" })
        assert.notStrictEqual(other.id, first.id)
      }))

    it.live("P11: a start fails with CapacityExceeded if the largest number of tasks is waiting", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture({ capacity: 1, waiting: 1 })
        yield* startAndReach(manager, 3, { message: "a hold" })
        yield* manager.start({ message: "b" })
        // Tasks get their places in the background: the first tries may still be accepted.
        const refused = yield* Effect.flip(Effect.forever(manager.start({ message: "c" })))
        assert.deepStrictEqual(refused, new TaskError.CapacityExceeded({ limit: 1 }))
      }))

    it.live("P11: a start fails with TooManyActiveTasks if the user has the largest number of active tasks", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture({ activePerUser: 1 })
        const task = yield* startAndReach(manager, 3, { message: "a hold" })
        const refused = yield* Effect.flip(manager.start({ message: "b", conversationId: "c1" }))
        assert.deepStrictEqual(refused, new TaskError.TooManyActiveTasks({ limit: 1 }))
        // No empty conversation is left.
        assert.strictEqual((yield* Effect.flip(manager.regenerate("c1")))._tag, "ConversationNotFound")
        yield* gate.open
        yield* manager.await(task.id)
        assert.strictEqual((yield* manager.start({ message: "b", conversationId: "c1" })).conversationId, c1)
      }))

    it.live("the error names an agent, a message or a conversation that does not exist", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        assert.deepStrictEqual(
          yield* Effect.flip(manager.start({ message: "a", agentId: "nobody" })),
          new TaskError.AgentNotFound({ agentId: AgentId.make("nobody"), known: [AgentId.make("echo")] })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(manager.start({ message: "a", conversationId: "c1", replaces: "unknown/1" })),
          new TaskError.MessageNotFound({ conversationId: c1, messageId: MessageId.make("unknown/1") })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(manager.regenerate("c1")),
          new TaskError.ConversationNotFound({ conversationId: c1 })
        )
        assert.deepStrictEqual(
          yield* Effect.flip(manager.deleteConversation(c1)),
          new TaskError.ConversationNotFound({ conversationId: c1 })
        )
      }))

    it.live("regenerate starts a task for the user's last message again", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const first = yield* manager.start({ message: "a b c", conversationId: "c1" })
        yield* manager.await(first.id)
        const again = yield* manager.regenerate("c1", { metadata: { again: true } })
        assert.strictEqual(again.replaces, `${first.id}/1`)
        assert.deepStrictEqual(again.metadata, { again: true })
        assert.deepStrictEqual(
          types(yield* read(manager, again.id)),
          ["ack", "started", "text", "text", "text", "message", "done"]
        )
      }))

    it.live("P11: invalid input is refused with the name of its field, and nothing is stored", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const refusals = [
          manager.start({ message: " " }),
          manager.start({ message: "x".repeat(300_000) }),
          manager.start({ message: "a", metadata: { a: "x".repeat(70_000) } }),
          manager.start({ message: "a", idempotencyKey: "k".repeat(201) }),
          manager.start({ message: "a", conversationId: "" }),
          manager.start({ message: "a", replaces: "t/1" }),
          manager.regenerate(""),
          manager.regenerate("c1", { agentId: "" }),
          manager.cancel(unknown, { reason: "r".repeat(1_001) }),
          manager.decide(unknown, "t", { approved: true, reason: "r".repeat(1_001) })
        ]
        const fields: Array<string> = []
        for (const refusal of refusals) {
          const error = yield* Effect.flip(refusal as Effect.Effect<Task | void, TaskError.InvalidInput>)
          assert.strictEqual(error._tag, "InvalidInput")
          assert.notInclude(error.message, "Expected")
          fields.push(error.field)
        }
        assert.strictEqual(
          fields.join(" "),
          "message message metadata idempotencyKey conversationId replaces conversationId agentId reason reason"
        )
        assert.deepStrictEqual(yield* manager.list(), [])
      }))
  })

  describe(`${name}: reading`, () => {
    it.live("every method fails with TaskNotFound for an unknown task", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const notFound = new TaskError.TaskNotFound({ taskId: unknown })
        assert.deepStrictEqual(yield* Effect.flip(manager.get(unknown)), notFound)
        assert.deepStrictEqual(yield* Effect.flip(manager.events(unknown)), notFound)
        assert.deepStrictEqual(yield* Effect.flip(manager.open(unknown)), notFound)
        assert.deepStrictEqual(yield* Effect.flip(manager.cancel(unknown)), notFound)
        assert.deepStrictEqual(yield* Effect.flip(manager.await(unknown)), notFound)
        assert.deepStrictEqual(yield* Effect.flip(manager.decide(unknown, "t", { approved: true })), notFound)
      }))

    it.live("`events` fails before it returns a stream if the cursor is beyond the log or the log has expired", () =>
      Effect.gen(function*() {
        const { expire, manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "a" })
        const { task } = yield* manager.await(id)
        assert.deepStrictEqual(
          yield* Effect.flip(manager.events(id, { after: 9 })),
          new TaskError.CursorAhead({ taskId: id, after: 9, lastSeq: task.lastSeq })
        )
        yield* expire
        const expired = new TaskError.EventsExpired({ taskId: id })
        assert.deepStrictEqual(yield* Effect.flip(manager.events(id)), expired)
        assert.deepStrictEqual(yield* Effect.flip(manager.events(id, { after: 2 })), expired)
        assert.deepStrictEqual(yield* Effect.flip(manager.await(id)), expired)
        assert.deepStrictEqual(yield* read(manager, id, task.lastSeq), [])
        assert.deepStrictEqual(yield* manager.get(id), task)
      }))

    it.live("P3: a reader that joins while a task runs gets all events", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture()
        const { id } = yield* startAndReach(manager, 4, { message: "a b hold c d" })
        const reached = yield* Latches.make()
        const readers = yield* Effect.forEach([0, 1, 4], (after) =>
          Effect.flatMap(manager.events(id, { after }), (events) =>
            events.pipe(
              Stream.tap(({ seq }) =>
                seq === 4 ? reached.open : Effect.void
              ),
              Stream.runCollect,
              Effect.forkChild
            )))
        yield* reached.await
        yield* gate.open
        const whole = yield* read(manager, id)
        assert.deepStrictEqual(whole.map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7, 8, 9])
        for (const [at, after] of [0, 1, 4].entries()) {
          const reader = readers[at]
          assert.isDefined(reader)
          assert.deepStrictEqual(yield* Fiber.join(reader), whole.slice(after))
        }
      }))

    it.live("`list` returns filtered pages of any size, newest first, and `running` the running tasks", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture()
        const tasks: Array<Task> = []
        for (let i = 0; i < 120; i++) {
          tasks.push(yield* manager.start({ message: "a", conversationId: `c${i % 2}-${i}` }))
        }
        for (const { id } of tasks) yield* manager.await(id)
        const newest = tasks.map(({ id }) => id).toReversed()
        const ids = (found: ReadonlyArray<Task>) => found.map(({ id }) => id)
        assert.deepStrictEqual(ids(yield* manager.list()), newest.slice(0, 100))
        assert.deepStrictEqual(ids(yield* manager.list({ limit: 1_000 })), newest)
        assert.deepStrictEqual(ids(yield* manager.list({ limit: 3, before: newest[9] })), newest.slice(10, 13))
        assert.deepStrictEqual(
          ids(yield* manager.list({ conversationId: ConversationId.make("c1-7") })),
          tasks.slice(7, 8).map(({ id }) => id)
        )
        assert.deepStrictEqual(yield* manager.list({ status: ["error", "queued"] }), [])
        assert.deepStrictEqual(yield* manager.running, [])
        const one = yield* startAndReach(manager, 3, { message: "a hold" })
        const two = yield* startAndReach(manager, 3, { message: "a hold" })
        assert.deepStrictEqual(yield* manager.running, [two.id, one.id])
        assert.deepStrictEqual(ids(yield* manager.list({ status: ["running"] })), [two.id, one.id])
        yield* gate.open
        yield* manager.await(one.id)
        yield* manager.await(two.id)
      }))

    it.live("`await` returns the last message of a long task", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "10x100" })
        const { message, task, usage } = yield* manager.await(id)
        assert.strictEqual(task.lastSeq, 1_004)
        assert.deepStrictEqual(message, { role: "assistant", content: [{ type: "text", text: "done" }] })
        assert.deepStrictEqual(usage, zero)
      }))

    it.live("the result of a failed task has no usage and no secret", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "break" })
        const result = yield* manager.await(id)
        assert.deepStrictEqual(Object.keys(result), ["task"])
        assert.strictEqual(result.task.status, "error")
        assert.notInclude(JSON.stringify(result.task.error), "secret")
      }))
  })

  describe(`${name}: cancel, decisions and deletion`, () => {
    it.live("P7: cancel ends a task, frees its conversation, and returns the task as it ended", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* startAndReach(manager, 3, { message: "a hold", conversationId: "c1" })
        const cancelled = yield* manager.cancel(id, { reason: "enough" })
        assert.strictEqual(cancelled.status, "cancelled")
        assert.deepStrictEqual(yield* manager.get(id), cancelled)
        const last = (yield* read(manager, id)).at(-1)?.event
        assert.strictEqual(last?.type === "cancelled" ? last.reason : undefined, "enough")
        assert.deepStrictEqual(yield* manager.cancel(id), cancelled)
        const next = yield* manager.start({ message: "b", conversationId: "c1" })
        const { task } = yield* manager.await(next.id)
        assert.deepStrictEqual(yield* manager.cancel(next.id), task)
        assert.strictEqual(task.status, "completed")
      }))

    it.live("the first decision counts", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* startAndReach(manager, 4, { message: "a approve" })
        const notFound = (toolCallId: string) => new TaskError.ToolCallNotFound({ taskId: id, toolCallId })
        assert.deepStrictEqual(
          yield* Effect.flip(manager.decide(id, "call/2", { approved: true })),
          notFound("call/2")
        )
        yield* manager.decide(id, "call/1", { approved: true, reason: "fine" })
        yield* manager.decide(id, "call/1", { approved: true, reason: "fine" })
        assert.deepStrictEqual(
          yield* Effect.flip(manager.decide(id, "call/1", { approved: false })),
          new TaskError.AlreadyDecided({ taskId: id, toolCallId: "call/1" })
        )
        assert.strictEqual((yield* manager.await(id)).task.status, "completed")
        assert.include(JSON.stringify(yield* read(manager, id)), "\"approved\"")
      }))

    it.live("deleteConversation removes the tasks of the conversation", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "a", conversationId: "c1" })
        yield* manager.await(id)
        yield* manager.deleteConversation(c1)
        assert.deepStrictEqual(yield* Effect.flip(manager.get(id)), new TaskError.TaskNotFound({ taskId: id }))
        assert.deepStrictEqual(yield* manager.list(), [])
        assert.deepStrictEqual(
          yield* Effect.flip(manager.deleteConversation(c1)),
          new TaskError.ConversationNotFound({ conversationId: c1 })
        )
      }))
  })
}
