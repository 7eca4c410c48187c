import { assert, describe, it } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { FeedUpdate } from "@perennial/domain/Feed"
import { AgentId, UserId } from "@perennial/domain/Ids"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import { zero } from "@perennial/domain/Usage"
import { type Settings, topics, WebhookId, type WebhookKey } from "@perennial/domain/Webhook"
import { WebhookStore, WebhookStoreError } from "@perennial/domain/WebhookStore"
import { Array, Clock, DateTime, Duration, Effect, Latch, Logger, Option, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { adjust, settle } from "./support/agentTask.ts"
import { shared, startProcess } from "./support/processes.ts"

const makeHolding = Effect.map(Latch.make(false), (gate) => ({
  gate,
  agent: makeAgent("holding", () => Effect.as(gate.await, { usage: zero }))
}))

const as = (user: string) => Effect.provideService(CurrentUser, UserId.make(user))

/** Reads the feed of a user. The reader takes an update only when the test does. */
const follow = Effect.fnUntraced(function*(process: Effect.Success<ReturnType<typeof startProcess>>, user: string) {
  const updates = yield* Queue.bounded<FeedUpdate>(1)
  yield* Effect.forkScoped(
    Stream.runForEach(yield* as(user)(process.manager.feed()), (update) => Queue.offer(updates, update))
  )
  yield* settle
  return updates
})

const hook: WebhookKey = { id: WebhookId.make("a"), userId: UserId.make("alice") }

const settings: Settings = {
  url: "https://example.com/hook",
  topics,
  content: false,
  secrets: [{ value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
}

/** A message of the webhook fails for the last time. */
const disable = Effect.fnUntraced(function*(webhooks: WebhookStore["Service"], key: WebhookKey) {
  yield* webhooks.enqueue([{ webhookId: key.id, id: "m", body: "{}" }])
  const claim = Option.getOrThrow(yield* webhooks.claim({ lease: Duration.hours(1), except: [] }))
  yield* webhooks.settle(claim, { type: "failed", error: "The receiver answered 410.", retryAfter: undefined })
})

/** All updates that wait for the test. */
const takeAll = Effect.fnUntraced(function*(updates: Queue.Queue<FeedUpdate>) {
  const taken: Array<FeedUpdate> = []
  while ((yield* Queue.size(updates)) > 0) {
    taken.push(yield* Queue.take(updates))
    yield* settle
  }
  return taken
})

const statuses = (update: Pick<FeedUpdate, "tasks">) => update.tasks.map(({ status }) => status)

describe("the feed", () => {
  it.effect("P6: a slow reader of 1,000 tasks gets their latest state in one update, and then nothing", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent], { capacity: 2_000 })
      const updates = yield* follow(process, "alice")
      assert.deepStrictEqual(yield* Queue.take(updates), { type: "snapshot", tasks: [], cursor: 0 })
      for (let i = 0; i < 1_000; i++) yield* as("alice")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      // One update is in the queue, and the reader holds one. All other states are skipped.
      yield* gate.open
      yield* adjust("1 second")
      const taken = [yield* Queue.take(updates), yield* Queue.take(updates)]
      yield* adjust("1 second")
      const rest = yield* Queue.clear(updates)
      assert.isAtMost(rest.length, 1)
      const last = new Map([...taken, ...rest].flatMap(({ tasks }) => tasks.map(({ id, status }) => [id, status])))
      assert.strictEqual(last.size, 1_000)
      assert.deepStrictEqual(new Set(last.values()), new Set(["completed"]))
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
    }))

  it.effect("P11: of more than 1,000 ends the newest are kept, and none comes twice", () =>
    Effect.gen(function*() {
      const first = yield* makeHolding
      const second = yield* makeHolding
      const process = yield* startProcess(
        yield* shared,
        [first.agent, { ...second.agent, agentId: AgentId.make("second") }],
        { capacity: 2_000 }
      )
      // The newest tasks end first.
      const begin = (agentId: string, count: number) =>
        Effect.forEach(Array.range(1, count), () => as("alice")(process.manager.start({ message: "a", agentId })), {
          discard: true
        })
      yield* begin("holding", 1_000)
      yield* begin("second", 50)
      const updates = yield* follow(process, "alice")
      yield* Queue.take(updates)
      yield* second.gate.open
      yield* adjust("1 second")
      yield* first.gate.open
      yield* adjust("1 second")
      while ((yield* Queue.size(updates)) > 0) {
        yield* Queue.take(updates)
        yield* settle
      }
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
    }))

  it.effect("P12: another user's tasks never appear", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent])
      yield* as("alice")(process.manager.start({ message: "a" }))
      const updates = yield* follow(process, "bob")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks, [])
      yield* as("alice")(process.manager.start({ message: "a" }))
      yield* gate.open
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
      const own = yield* as("bob")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks.map(({ id }) => id), [own.id])
    }))

  it.effect("without hints, a change by another process appears within 18 seconds", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeHolding
      const both = yield* shared
      const a = yield* startProcess(both, [agent])
      const b = yield* startProcess(both, [agent])
      const updates = yield* follow(b, "alice")
      yield* Queue.take(updates)
      const { id } = yield* as("alice")(a.manager.start({ message: "a" }))
      yield* adjust("18 seconds")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks.map((task) => task.id), [id])
    }))

  it.effect("a store that fails for a while delays updates, and ends no feed", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent])
      yield* as("alice")(process.manager.start({ message: "a" }))
      yield* settle
      const updates = yield* follow(process, "alice")
      assert.deepStrictEqual(statuses(yield* Queue.take(updates)), ["running"])
      process.line.fault = () => "refused"
      yield* TestClock.adjust("2 seconds")
      process.line.restore()
      yield* gate.open
      yield* adjust("30 seconds")
      assert.deepStrictEqual(statuses(yield* Queue.take(updates)), ["completed"])
    }))

  it.effect("P12: a disabled webhook of the user is a change and in each snapshot, until it is enabled or removed", () =>
    Effect.gen(function*() {
      const webhooks = yield* MemoryWebhookStore.make
      yield* webhooks.put(hook, settings)
      const { agent } = yield* makeHolding
      const process = yield* Effect.provideService(startProcess(yield* shared, [agent]), WebhookStore, webhooks)
      const updates = yield* follow(process, "alice")
      const others = yield* follow(process, "bob")
      assert.deepStrictEqual(yield* Queue.take(updates), { type: "snapshot", tasks: [], cursor: 0 })
      yield* Queue.take(others)

      yield* disable(webhooks, hook)
      const at = yield* Clock.currentTimeMillis
      const disabledWebhooks = [{
        id: hook.id,
        disabledAt: DateTime.makeUnsafe(at),
        disabledReason: "The receiver answered 410."
      }]
      yield* adjust("18 seconds")
      assert.deepStrictEqual(yield* Queue.take(updates), { type: "changes", tasks: [], cursor: 0, disabledWebhooks })
      const later = yield* follow(process, "alice")
      assert.deepStrictEqual(yield* Queue.take(later), { type: "snapshot", tasks: [], cursor: 0, disabledWebhooks })

      // A change of a task does not repeat it.
      const { id } = yield* as("alice")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      const changes = yield* takeAll(updates)
      assert.deepStrictEqual(new Set(changes.flatMap(({ tasks }) => tasks.map((task) => task.id))), new Set([id]))
      for (const change of changes) assert.notProperty(change, "disabledWebhooks")

      yield* webhooks.put(hook, settings)
      yield* adjust("18 seconds")
      const enabled = yield* Queue.take(updates)
      assert.deepStrictEqual([enabled.tasks, enabled.disabledWebhooks], [[], []])
      yield* adjust("1 minute")
      assert.deepStrictEqual([yield* Queue.size(updates), yield* Queue.size(others)], [0, 0])
    }))

  it.effect("a store of webhooks that fails delays no change of a task", () =>
    Effect.gen(function*() {
      const webhooks = yield* MemoryWebhookStore.make
      yield* webhooks.put(hook, settings)
      const { agent } = yield* makeHolding
      let fails = false
      const failure = new WebhookStoreError({ operation: "list", cause: "away" })
      const list = (userId: UserId | undefined) =>
        Effect.suspend(() => fails ? Effect.fail(failure) : webhooks.list(userId))
      const process = yield* Effect.provideService(
        startProcess(yield* shared, [agent]),
        WebhookStore,
        WebhookStore.of({ ...webhooks, list })
      )
      const updates = yield* follow(process, "alice")
      yield* Queue.take(updates)
      fails = true
      yield* disable(webhooks, hook)
      yield* adjust("20 seconds")
      yield* as("alice")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      assert.deepStrictEqual(statuses((yield* takeAll(updates)).at(-1) ?? { tasks: [] }), ["running"])
      fails = false
      yield* adjust("18 seconds")
      assert.deepStrictEqual((yield* Queue.take(updates)).disabledWebhooks?.map((webhook) => webhook.id), [hook.id])
    }).pipe(Effect.provide(Logger.layer([]))))
})
