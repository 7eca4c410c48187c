/**
 * What becomes of a task of which the store cannot read a part: a damaged row, or one of a newer version.
 */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { Decision } from "@perennial/domain/Decision"
import { makeUnreadable } from "@perennial/domain/EventPayload"
import { ConversationId, type TaskId } from "@perennial/domain/Ids"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import type { Claim, TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import { Deferred, Effect, Option } from "effect"
import { message, waiting } from "./support/agents.ts"
import { checkEnded, storedLog, untilEnded } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"

const conversationId = ConversationId.make("c1")
const answering = make("answering", (_, emit) => Effect.as(emit([message("hi")]), { usage: zero }))

type Backend = TaskBackend["Service"]

const behind = (both: Store, change: (backend: Backend) => Partial<Backend>): Store => ({
  ...both,
  backend: { ...both.backend, ...change(both.backend) }
})

/** A store that answers claims of one task in its own way, after it has recorded them. */
const claiming = (both: Store, id: () => TaskId | undefined, answer: (claim: Claim) => Claim | Error) =>
  behind(both, (backend) => ({
    claim: (task, options) =>
      Effect.flatMap(backend.claim(task, options), (claim) => {
        const answered = task === id() ? Option.map(claim, answer) : claim
        return Option.isSome(answered) && answered.value instanceof Error
          ? Effect.fail(new TaskBackendError({ operation: "claim", cause: answered.value }))
          // It is no error here.
          : Effect.succeed(answered as Option.Option<Claim>)
      })
  }))

const errorOf = (both: Store, id: TaskId) =>
  Effect.map(both.backend.get(id), ({ attempt, error }) => ({ attempt, ...error }))

const messagesOf = ({ store }: Store) =>
  Effect.flatMap(CurrentUser, (userId) => store.messages({ id: conversationId, userId }, { limit: 100 }))

describe("P8: a task of which the store cannot read a part ends with an error, and its conversation goes on", () => {
  for (
    const [part, change] of [
      ["its message", { input: MessagePayload.unreadableInput, unreadable: "input" }],
      ["its settings", { spec: {}, unreadable: "spec" }]
    ] as const
  ) {
    it.effect(`when the store says that it cannot read ${part}`, () =>
      Effect.gen(function*() {
        const both = yield* shared
        let id: TaskId | undefined
        const { manager } = yield* startProcess(
          claiming(both, () => id, (claim) => ({ ...claim, ...change })),
          [answering]
        )
        id = (yield* manager.start({ message: "hello", conversationId })).id
        const next = yield* manager.start({ message: "again", conversationId, onBusy: "enqueue" })
        yield* untilEnded(both, next.id)
        assert.deepStrictEqual(yield* errorOf(both, id), {
          attempt: 1,
          code: "TaskUnreadable",
          detail: `The store has the task, but ${part} cannot be read.`
        })
        assert.deepStrictEqual((yield* storedLog(both, id)).map(({ event }) => event.type), ["ack", "error"])
        yield* checkEnded(both, next.id)
        assert.isTrue((yield* messagesOf(both)).every(({ taskId }) => taskId === next.id))
        yield* manager.deleteConversation(conversationId)
      }))
  }

  it.effect("when an event of its log cannot be read, and the task is resumed", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const ids = { taskId: "" as TaskId, conversationId }
      const store = behind(both, (backend) => ({
        events: (id, options) =>
          Effect.map(backend.events(id, options), (page) => ({
            ...page,
            events: page.events.map((stored) => stored.seq === 3 ? { ...stored, event: makeUnreadable(ids) } : stored)
          }))
      }))
      const { agent, begun } = waiting()
      const first = yield* startProcess(store, [agent])
      const { id } = yield* first.manager.start({ message: "hello", conversationId })
      yield* Deferred.await(begun)
      yield* first.terminate
      yield* startProcess(store, [agent])
      yield* untilEnded(both, id)
      assert.deepStrictEqual(yield* errorOf(both, id), {
        attempt: 2,
        code: "TaskUnreadable",
        detail: "The store has the task, but event 3 of its log cannot be read."
      })
    }))

  for (
    const [how, answer] of [
      ["fail", () => new Error("the row cannot be read")],
      // A store without types.
      ["are no claims", () => ({ taskId: "t" }) as unknown as Claim]
    ] as const
  ) {
    it.effect(`when its claims ${how} after the store has recorded them; other tasks go on`, () =>
      Effect.gen(function*() {
        const both = yield* shared
        let id: TaskId | undefined
        const { manager } = yield* startProcess(claiming(both, () => id, answer), [answering])
        id = (yield* manager.start({ message: "hello", conversationId })).id
        const next = yield* manager.start({ message: "again", conversationId, onBusy: "enqueue" })
        const other = yield* manager.start({ message: "hello" })
        assert.strictEqual((yield* untilEnded(both, other.id, 1)).status, "completed")
        yield* untilEnded(both, next.id)
        assert.deepStrictEqual(yield* errorOf(both, id), {
          attempt: 4,
          code: "TaskUnreadable",
          detail: "The store has the task, but it cannot be read."
        })
        yield* checkEnded(both, next.id)
      }))
  }

  it.effect("a cancel comes first", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let id: TaskId | undefined
      const store = claiming(both, () => id, (claim) => ({ ...claim, spec: {}, unreadable: "spec" }))
      const { agent, begun } = waiting()
      const first = yield* startProcess(both, [agent])
      id = (yield* first.manager.start({ message: "hello", conversationId })).id
      yield* Deferred.await(begun)
      yield* first.terminate
      yield* both.backend.putIntent(id, { key: "cancel", value: { reason: "enough" } })
      yield* startProcess(store, [agent])
      assert.strictEqual((yield* untilEnded(both, id)).status, "cancelled")
    }))
})

it.effect("a decision that cannot be read allows nothing, and its call does not wait any more", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const asked = yield* Deferred.make<void>()
    const decided = yield* Deferred.make<Decision>()
    const asking = make("asking", (input) =>
      Effect.gen(function*() {
        yield* Deferred.succeed(asked, undefined)
        yield* Deferred.succeed(decided, yield* input.awaitDecision("call"))
        return { usage: zero }
      }))
    const { manager } = yield* startProcess(both, [asking])
    const { id } = yield* manager.start({ message: "hello" })
    yield* Deferred.await(asked)
    yield* both.backend.putIntent(id, { key: "decision/call", value: null })
    assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    assert.deepStrictEqual(yield* Deferred.await(decided), {
      approved: false,
      reason: "The decision that was recorded cannot be read."
    })
  }))
