/**
 * `regenerate`, and starts that replace a message: which messages a new task replaces, and when.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Agent, Agents, make } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { AgentId, ConversationId, messageId, type TaskId, UserId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { message, text, waiting } from "./support/agents.ts"
import { checkEnded, joinInTime, settle, untilEnded } from "./support/invariants.ts"
import { type Fault, shared, startProcess, type Store } from "./support/processes.ts"

/** An agent whose answer contains the history of the conversation and the number of its answers. */
const remembering = (agentId = "remembering"): Agent => {
  let answers = 0
  return make(agentId, ({ history, journal }, emit) =>
    Effect.gen(function*() {
      if (journal.some(({ event }) => event.type === "message")) return { usage: zero }
      const said = history.map(Message.text).join(" / ")
      yield* emit([text("well, ")])
      yield* emit([message(`answer ${++answers} to ${said}`)])
      return { usage: zero }
    }))
}

const layer = (agent: Agent, ...others: ReadonlyArray<Agent>) =>
  TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([agent, ...others])))

const c1 = ConversationId.make("c1")
const asUser = (id: string) => Effect.provideService(CurrentUser, UserId.make(id))
const firstOf = (task: { readonly id: TaskId }) => messageId(task.id, 1)

const say = Effect.fnUntraced(function*(words: string) {
  const manager = yield* TaskManager
  const task = yield* manager.start({ message: words, conversationId: c1 })
  yield* manager.await(task.id)
  return task
})

const said = Effect.gen(function*() {
  const store = yield* ConversationStore
  const messages = yield* store.messages({ id: c1, userId: yield* CurrentUser }, { limit: 100 })
  return messages.map(({ message }) => Message.text(message))
})

describe("editing a message", () => {
  it.effect("replaces the message and all messages after it; earlier messages and all logs are kept", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      yield* say("a")
      const b = yield* say("b")
      const c = yield* say("c")
      const edited = yield* manager.start({ message: "B", conversationId: c1, replaces: firstOf(b) })
      assert.strictEqual(edited.replaces, firstOf(b))
      yield* manager.await(edited.id)
      assert.deepStrictEqual(yield* said, ["a", "answer 1 to a", "B", "answer 4 to a / answer 1 to a / B"])
      for (const { id } of [b, c]) {
        const log = yield* Stream.runCollect(yield* manager.events(id))
        assert.deepStrictEqual(log.map(({ event }) => event.type), ["ack", "started", "text", "message", "done"])
      }
      assert.strictEqual((yield* manager.get(edited.id)).replaces, firstOf(b))
    }).pipe(Effect.provide(layer(remembering()))))

  it.effect("appends the new message at the end if the message was already replaced", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const a = yield* say("a")
      for (const message of ["b", "c"]) {
        const { id } = yield* manager.start({ message, conversationId: c1, replaces: firstOf(a) })
        yield* manager.await(id)
      }
      assert.deepStrictEqual((yield* said).filter((words) => words.length === 1), ["b", "c"])
    }).pipe(Effect.provide(layer(remembering()))))

  it.effect("is refused if the message is not a message of the user in this conversation, and nothing is stored", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const a = yield* say("a")
      const before = yield* said
      const other = yield* manager.start({ message: "x", conversationId: ConversationId.make("c2") })
      yield* manager.await(other.id)
      const answer = messageId(a.id, 4)
      for (const replaces of [answer, firstOf(other), messageId(a.id, 99), "nonsense" as typeof answer]) {
        const error = yield* Effect.flip(manager.start({ message: "b", conversationId: c1, replaces }))
        assert.deepInclude(error, { _tag: "MessageNotFound", conversationId: c1, messageId: replaces })
      }
      const foreign = manager.start({ message: "b", conversationId: c1, replaces: firstOf(a) })
      assert.strictEqual((yield* Effect.flip(asUser("bob")(foreign)))._tag, "MessageNotFound")
      const homeless = manager.start({ message: "b", replaces: firstOf(a) })
      assert.strictEqual((yield* Effect.flip(homeless))._tag, "InvalidInput")
      assert.deepStrictEqual(yield* said, before)
      assert.strictEqual((yield* manager.list()).length, 2)
    }).pipe(Effect.provide(layer(remembering()))))
})

describe("regenerate", () => {
  it.effect("starts a task with the unchanged last message of the user, for the same agent", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const store = yield* ConversationStore
      const [agentId, conversationId] = [AgentId.make("second"), c1]
      yield* say("a")
      const b = yield* manager.start({ message: "b", conversationId, agentId, userMetadata: { from: "mobile" } })
      yield* manager.await(b.id)
      const again = yield* manager.regenerate(c1, { metadata: { n: 2 } })
      assert.deepInclude(again, { agentId, replaces: firstOf(b), metadata: { n: 2 } })
      yield* manager.await(again.id)
      const messages = yield* store.messages({ id: c1, userId: yield* CurrentUser }, { limit: 100 })
      assert.deepStrictEqual(messages.map(({ message }) => Message.text(message)), [
        "a",
        "answer 1 to a",
        "b",
        "answer 2 to a / answer 1 to a / b"
      ])
      assert.deepInclude(messages[2], { id: firstOf(again), metadata: { from: "mobile" } })
    }).pipe(Effect.provide(layer(remembering(), remembering("second")))))

  it.effect("needs a message of the user and a conversation of the user", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const store = yield* ConversationStore
      assert.strictEqual((yield* Effect.flip(manager.regenerate(c1)))._tag, "ConversationNotFound")
      yield* store.create({ id: c1, userId: yield* CurrentUser })
      assert.deepInclude(yield* Effect.flip(manager.regenerate(c1)), { _tag: "MessageNotFound", conversationId: c1 })
      assert.strictEqual((yield* Effect.flip(asUser("bob")(manager.regenerate(c1))))._tag, "ConversationNotFound")
    }).pipe(Effect.provide(layer(remembering()))))

  it.effect("starts one task for one idempotency key, also after its answer; a different request is refused", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const a = yield* say("a")
      const again = yield* manager.regenerate(c1, { idempotencyKey: "k" })
      yield* manager.await(again.id)
      assert.strictEqual((yield* manager.regenerate(c1, { idempotencyKey: "k" })).id, again.id)
      const edit = { message: "b", conversationId: c1, replaces: firstOf(a), idempotencyKey: "e" }
      const edited = yield* manager.start(edit)
      yield* manager.await(edited.id)
      assert.strictEqual((yield* manager.start(edit)).id, edited.id)
      const error = yield* Effect.flip(manager.start({ ...edit, replaces: firstOf(again) }))
      assert.strictEqual(error._tag, "IdempotencyConflict")
    }).pipe(Effect.provide(layer(remembering()))))
})

describe("P2: a busy conversation", () => {
  it.effect("refuses a replacement and keeps its messages; with `interrupt` the running task ends first", () => {
    const { agent, begun } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const a = yield* manager.start({ message: "a", conversationId: c1 })
      yield* Deferred.await(begun)
      for (
        const attempt of [
          manager.regenerate(c1),
          manager.start({ message: "b", conversationId: c1, replaces: firstOf(a) })
        ]
      ) {
        assert.deepInclude(yield* Effect.flip(attempt), { _tag: "ConversationBusy", activeTaskId: a.id })
      }
      assert.deepStrictEqual(yield* said, ["a"])
      const agentId = AgentId.make("remembering")
      const again = yield* manager.regenerate(c1, { onBusy: "interrupt", agentId })
      assert.strictEqual((yield* manager.await(a.id)).task.status, "cancelled")
      yield* manager.await(again.id)
      assert.deepStrictEqual(yield* said, ["a", "answer 1 to a"])
    }).pipe(Effect.provide(layer(agent, remembering())))
  })

  it.effect("a task that is cancelled before it begins replaces nothing", () => {
    const { agent, begun, release } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const a = yield* manager.start({ message: "a", conversationId: c1 })
      yield* Deferred.await(begun)
      const queued = yield* manager.regenerate(c1, { onBusy: "enqueue" })
      assert.strictEqual((yield* manager.cancel(queued.id)).status, "cancelled")
      yield* release.open
      yield* manager.await(a.id)
      assert.deepStrictEqual(yield* said, ["a", "done waiting"])
    }).pipe(Effect.provide(layer(agent)))
  })
})

describe("P1, P8: a store or a process fails while an answer is replaced", () => {
  const key = { id: c1, userId: UserId.make("local") }
  const textsOf = ({ store }: Store) =>
    Effect.map(store.messages(key, { limit: 100 }), (all) => all.map(({ message }) => Message.text(message)))

  /** One `regenerate` whose process loses its store at call `n`. Returns whether there was such a call. */
  const withCrash = Effect.fnUntraced(function*(n: number, fault: Fault) {
    const both = yield* shared
    const agent = remembering()
    const a = yield* startProcess(both, [agent])
    const b = yield* startProcess(both, [agent])
    const first = yield* b.manager.start({ message: "a", conversationId: c1 })
    yield* untilEnded(both, first.id)
    const built = a.line.calls
    a.line.fault = (call) => call < built + n ? undefined : call === built + n ? fault : "refused"
    const again = { idempotencyKey: "k" }
    const starting = yield* Effect.forkChild(
      a.manager.regenerate(c1, again).pipe(
        Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), b.manager.regenerate(c1, again)))
      )
    )
    const task = yield* joinInTime(starting)
    yield* settle
    const reached = a.line.calls >= built + n
    assert.deepStrictEqual((yield* textsOf(both)).at(0), "a", "the conversation is never without the message")
    yield* untilEnded(both, task.id)
    // The old owner can reach the store again. Its remaining writes must change nothing.
    a.line.restore()
    yield* settle
    yield* TestClock.adjust("12 seconds")
    yield* settle
    yield* checkEnded(both, task.id)
    const [question, answer, ...more] = yield* textsOf(both)
    assert.deepStrictEqual([question, more], ["a", []])
    assert.match(answer ?? "", /^answer \d to a$/)
    yield* a.terminate
    yield* b.terminate
    return reached
  }, Effect.scoped)

  for (const fault of ["refused", "unanswered"] as const) {
    it.effect(`the process loses its store, at every call (${fault})`, () =>
      Effect.gen(function*() {
        let calls = 0
        while (
          yield* withCrash(calls + 1, fault).pipe(
            Effect.catchDefect((defect) => Effect.die(new Error(`call ${calls + 1}: ${String(defect)}`)))
          )
        ) calls++
        assert.isAbove(calls, 8)
      }), 120_000)
  }
})
