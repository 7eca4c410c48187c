/** Faults of effect/cluster that are known or plausible: what happens to a task then (P8). */
import { assert, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import * as Testing from "@perennial/runtime/Testing"
import { Context, Effect, type Layer, type Scope } from "effect"
import { ClusterError, MessageStorage } from "effect/cluster"
import { counting, waiting } from "./support/agents.ts"
import { clusterOf, type Network, network, startRunner } from "./support/clusterRunners.ts"

const test = <E>(name: string, body: Effect.Effect<void, E, Scope.Scope | Layer.Success<typeof MemoryStore.layer>>) =>
  it.effect(name, () => Effect.provide(Effect.scoped(body), MemoryStore.layer))

const engineOf = (shared: Network, port: number) => TaskEngineCluster.layer({ cluster: clusterOf(shared, port) })

test(
  "P8: the refresh of locks hangs: the runner gives its task up, and the task ends within seconds",
  Effect.gen(function*() {
    const shared = yield* network
    let hangs = false
    const { refresh } = shared.runnerStorage
    const runnerStorage = {
      ...shared.runnerStorage,
      refresh: (...args: Parameters<typeof refresh>) => Effect.suspend(() => hangs ? Effect.never : refresh(...args))
    }
    const { agent, release } = waiting()
    const { manager } = yield* startRunner([agent], engineOf({ ...shared, runnerStorage }, 1))
    yield* Testing.adjust("1 second")
    const { id } = yield* manager.start({ message: "x" })
    yield* Testing.adjust("1 second")
    assert.strictEqual((yield* manager.get(id)).status, "running")
    hangs = true
    yield* Testing.adjust("20 seconds")
    yield* release.open
    yield* Testing.adjust("10 seconds")
    assert.strictEqual((yield* manager.get(id)).status, "completed")
    // What is started while the locks hang is executed, too.
    const later = yield* manager.start({ message: "y" })
    yield* Testing.adjust("10 seconds")
    assert.strictEqual((yield* manager.get(later.id)).status, "completed")
    hangs = false
    yield* Testing.adjust("5 seconds")
  })
)

test(
  "P8: a reply is lost: the task has ended, the next task of the conversation runs, and the message ends later",
  Effect.gen(function*() {
    const shared = yield* network
    let refused = 0
    const storage = Context.get(shared.messages, MessageStorage.MessageStorage)
    const failing = MessageStorage.MessageStorage.of({
      ...storage,
      // The cluster tries it five times.
      saveReply: (reply) =>
        Effect.suspend(() =>
          ++refused <= 5
            ? Effect.fail(new ClusterError.PersistenceError({ cause: "the reply cannot be stored" }))
            : storage.saveReply(reply)
        )
    })
    const messages = Context.add(shared.messages, MessageStorage.MessageStorage, failing)
    const first = yield* startRunner([counting(3)], engineOf({ ...shared, messages }, 1))
    yield* Testing.adjust("1 second")
    const { conversationId, id } = yield* first.manager.start({ message: "x" })
    yield* Testing.adjust("5 seconds")
    assert.deepInclude(yield* first.manager.get(id), { status: "completed", attempt: 1 })
    const next = yield* first.manager.start({ message: "y", conversationId })
    yield* Testing.adjust("10 seconds")
    assert.deepInclude(yield* first.manager.get(next.id), { status: "completed", attempt: 1 })
    // The next runner of the shard replies to it.
    yield* first.terminate
    yield* startRunner([counting(3)], engineOf(shared, 2))
    yield* Testing.adjust("5 seconds")
    assert.isAtLeast(refused, 5)
    assert.strictEqual(Context.get(shared.messages, MessageStorage.MemoryDriver).unprocessed.size, 0)
  })
)

test(
  "P8: runners are healthy, but no message is read: the task is executed within two heartbeats",
  Effect.gen(function*() {
    const shared = yield* network
    const storage = Context.get(shared.messages, MessageStorage.MessageStorage)
    const deaf = MessageStorage.MessageStorage.of({
      ...storage,
      unprocessedMessages: () => Effect.succeed([]),
      unprocessedMessagesById: () => Effect.succeed([])
    })
    const messages = Context.add(shared.messages, MessageStorage.MessageStorage, deaf)
    const { manager } = yield* startRunner([counting(3)], engineOf({ ...shared, messages }, 1))
    yield* Testing.adjust("1 second")
    const { id } = yield* manager.start({ message: "x" })
    yield* Testing.adjust("8 seconds")
    assert.strictEqual((yield* manager.get(id)).status, "completed")
  })
)
