/** P7, P8, P10: an agent as a tool of another, on every store and across processes. Processes die by losing their store. */
import { assert, describe, it } from "@effect/vitest"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import { type Agent, AgentError, make as makeAgent } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { isChildTask, type TaskId, UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskManager } from "@perennial/domain/TaskManager"
import type * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import type * as TaskLimits from "@perennial/runtime/TaskLimits"
import {
  Context,
  Deferred,
  Effect,
  Fiber,
  Latch,
  Layer,
  Option,
  Queue,
  Redacted,
  References,
  type Scope,
  Struct
} from "effect"
import { makeSchema, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { layerEmpty, withRedis } from "../../packages/backends/test/support/redis.ts"
import { storedLog } from "../../packages/runtime/test/support/invariants.ts"
import { startProcess, type Store } from "../../packages/runtime/test/support/processes.ts"
import { ask, childUsage, makeResearcher, makeWriter } from "../support/delegating.ts"
import * as HintedStore from "../support/hintedStore.ts"
import { stores } from "../support/stores.ts"

const userId = UserId.make("local")
const quick = { sweep: "50 millis" } as const
/** For owners that die. Otherwise no lease may run out, however slow the machine is. */
const mortal = { ...quick, leaseTtl: "450 millis", failures: 1_000 } as const

/** A writer whose owner may die at any time: a slow machine may lose its lease before it should. */
const makeMortalWriter = (turns: ReadonlyArray<ScriptedModel.Turn>) => makeWriter(turns, {}, { placed: true })

/** The processes complain about their lost stores. */
const quietly = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.provideService(Effect.scoped(effect), References.MinimumLogLevel, "None")

/** A process that leaves child tasks to others. */
const withoutChildren = ({ backend, store }: Store): Store => ({
  store,
  backend: { ...backend, claim: (id, options) => isChildTask(id) ? Effect.succeedNone : backend.claim(id, options) }
})

/** A store in which the start of a child waits until its parent has looked for children, and the end of the parent for `finish`. */
const overlapping = Effect.fnUntraced(function*({ backend, store }: Store) {
  const [starting, looked, finish] = [yield* Latch.make(), yield* Latch.make(), yield* Latch.make()]
  const created = yield* Deferred.make<TaskId>()
  const slow: Store = {
    store,
    backend: {
      ...backend,
      create: (task, options) =>
        isChildTask(task.id)
          ? starting.open.pipe(
            Effect.andThen(looked.await),
            Effect.andThen(backend.create(task, options)),
            Effect.tap(Deferred.succeed(created, task.id))
          )
          : backend.create(task, options),
      finish: (fence, events) =>
        isChildTask(fence.taskId)
          ? backend.finish(fence, events)
          : looked.open.pipe(Effect.andThen(finish.await), Effect.andThen(backend.finish(fence, events)))
    }
  }
  return { created: Deferred.await(created), finish: finish.open, slow, starting: starting.await }
})

/** Whether the agent of a child has begun, or else how the child has ended. */
const beginOrEnd = ({ begun }: Effect.Success<typeof makeResearcher>, manager: TaskManager["Service"], child: TaskId) =>
  Effect.raceFirst(
    Effect.as(Queue.take(begun), "begun"),
    Effect.map(manager.await(child), ({ task }) => task.status)
  )

const childrenOf = (manager: TaskManager["Service"], parent: TaskId) => manager.list({ parent })

const resultsIn = (both: Store, id: TaskId) =>
  Effect.map(
    storedLog(both, id),
    (log) => log.flatMap(({ event }) => event.type === "tool_result" ? [[event.status, event.result] as const] : [])
  )

const build = <E>(layer: Layer.Layer<TaskBackend | ConversationStore, E>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context): Store => ({
    backend: Context.get(context, TaskBackend),
    store: Context.get(context, ConversationStore)
  }))

/** `open` makes an empty store, and gives the connection of each process to it. */
const suite = <E>(name: string, open: Effect.Effect<Effect.Effect<Store, E, Scope.Scope>, E, Scope.Scope>) =>
  describe(`child tasks on ${name}`, () => {
    /** A parent on process A whose child has begun on process B. */
    const apart = Effect.fnUntraced(function*(writer: Agent, limits: {
      readonly a?: TaskLimits.Options
      readonly b?: TaskLimits.Options
    } = {}) {
      const connect = yield* open
      const both = yield* connect
      const researcher = yield* makeResearcher
      const agents = [writer, researcher.agent] as const
      const a = yield* startProcess(withoutChildren(yield* connect), agents, limits.a ?? quick)
      const { id } = yield* a.manager.start({ message: "Write." })
      const begin = Effect.flatMap(connect, (store) => startProcess(store, agents, quick))
      const b = yield* startProcess(yield* connect, agents, limits.b ?? quick)
      const child = yield* Queue.take(researcher.begun)
      return { a, b, begin, both, child: child.taskId, id, researcher }
    })

    it.live("P10: the end of a child is the result of the call; with capacity 1, and linked both ways", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        const researcher = yield* makeResearcher
        yield* researcher.release.open
        const writer = yield* makeWriter([[ask("oak"), ask("elm")], ["written"]])
        const { manager } = yield* startProcess(both, [writer, researcher.agent], { ...quick, capacity: 1 })
        const { conversationId, id } = yield* manager.start({ message: "Write.", metadata: { plan: "pro" } })
        const { task } = yield* manager.await(id)
        assert.strictEqual(task.status, "completed")
        assert.sameDeepMembers(yield* resultsIn(both, id), [
          ["completed", `[{"TYPE":"TEXT","TEXT":"OAK"}]`],
          ["completed", `[{"TYPE":"TEXT","TEXT":"ELM"}]`]
        ])
        const children = yield* childrenOf(manager, id)
        const calls = (yield* storedLog(both, id)).flatMap(({ event, seq }) =>
          event.type === "tool_call" && event.childTaskId !== undefined
            ? [{ ...Struct.pick(event, ["childTaskId", "toolCallId"]), seq }]
            : []
        )
        assert.sameDeepMembers(
          children.map((child) => ({
            childTaskId: child.id,
            ...Struct.pick(child.parent ?? assert.fail(), ["toolCallId", "seq"])
          })),
          calls
        )
        assert.deepStrictEqual(children.map(({ metadata, parent }) => [parent?.taskId, metadata]), [
          [id, { plan: "pro" }],
          [id, { plan: "pro" }]
        ])
        assert.strictEqual(task.children, 2)
        // Two requests of the parent, and one of each child.
        assert.strictEqual(task.usage?.requests, 4)
        assert.isAtLeast(task.usage?.inputTokens ?? 0, 2 * childUsage.inputTokens)
        // Lists of the user have neither the children nor their conversations.
        assert.deepStrictEqual((yield* manager.list()).map((one) => one.id), [id])
        assert.strictEqual((yield* manager.counts()).completed, 1)
        const conversations = yield* both.store.list({ userId, limit: 10 })
        assert.deepStrictEqual(conversations.map((one) => one.id), [conversationId])
        const hidden = children[0]?.conversationId ?? assert.fail()
        const refused = yield* Effect.flip(manager.start({ message: "hi", conversationId: hidden }))
        assert.strictEqual(refused.message, "`conversationId` belongs to a child task.")
        // The deletion of the conversation takes them with it.
        yield* manager.deleteConversation(conversationId)
        assert.deepStrictEqual(yield* both.store.list({ userId, children: true, limit: 10 }), [])
        assert.deepStrictEqual(yield* both.backend.list({ userId, limit: 10 }), [])
      }).pipe(quietly))

    it.live("P7: a cancel of the parent reaches the child on another process, which ends first", () =>
      Effect.gen(function*() {
        const { a, both, child, id, researcher } = yield* apart(yield* makeWriter([[ask("oak")]]))
        const busy = yield* Effect.flip(a.manager.deleteConversation((yield* both.backend.get(id)).conversationId))
        assert.strictEqual(busy._tag, "ConversationBusy")
        assert.strictEqual((yield* a.manager.cancel(id, { reason: "Enough." })).status, "cancelled")
        assert.deepStrictEqual(yield* Queue.take(researcher.stopped), Option.some("cancel"))
        const { endedAt, status } = yield* both.backend.get(child)
        assert.strictEqual(status, "cancelled")
        const parent = yield* both.backend.get(id)
        assert.isAtMost(endedAt?.epochMilliseconds ?? Infinity, parent.endedAt?.epochMilliseconds ?? 0)
      }).pipe(quietly))

    it.live("P7: a cancel reaches the child also if the owner of the parent is dead", () =>
      Effect.gen(function*() {
        const { a, b, both, child, id } = yield* apart(yield* makeMortalWriter([[ask("oak")]]), { a: mortal })
        a.line.cut()
        assert.strictEqual((yield* b.manager.cancel(id)).status, "cancelled")
        assert.strictEqual((yield* both.backend.get(child)).status, "cancelled")
      }).pipe(quietly))

    it.live("P7: a child that is started while its cancelled parent ends does not begin", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        const { created, finish, slow, starting } = yield* overlapping(both)
        const researcher = yield* makeResearcher
        const agents = [yield* makeWriter([[ask("oak")]]), researcher.agent] as const
        const { manager } = yield* startProcess(slow, agents, { ...quick, cancelGrace: "1 milli" })
        const { id } = yield* manager.start({ message: "Write." })
        yield* starting
        const cancelled = yield* Effect.forkChild(manager.cancel(id))
        const child = yield* created
        const outcome = yield* beginOrEnd(researcher, manager, child)
        yield* finish
        yield* Fiber.join(cancelled)
        assert.strictEqual(outcome, "cancelled")
      }).pipe(quietly))

    it.live("P7: a child whose start comes late from a dead process, while its parent fails in another one, does not begin", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        const { created, finish, slow, starting } = yield* overlapping(both)
        const researcher = yield* makeResearcher
        const a = yield* startProcess(slow, [yield* makeMortalWriter([[ask("oak")]]), researcher.agent], mortal)
        const { id } = yield* a.manager.start({ message: "Write." })
        yield* starting
        a.line.cut()
        const failing = makeAgent(
          "writer",
          () => new AgentError({ error: "ModelFailed", detail: "The model fails.", retryable: false })
        )
        const b = yield* startProcess(slow, [failing, researcher.agent], quick)
        const outcome = yield* beginOrEnd(researcher, b.manager, yield* created)
        yield* finish
        assert.strictEqual((yield* b.manager.await(id)).task.status, "error")
        assert.strictEqual(outcome, "cancelled")
      }).pipe(quietly))

    it.live("P8, P10: the parent's owner dies, the call goes on with the same child", () =>
      Effect.gen(function*() {
        const { a, b, both, child, id, researcher } = yield* apart(
          yield* makeMortalWriter([[ask("oak")], ["written"]]),
          { a: mortal }
        )
        a.line.cut()
        const ended = yield* Effect.forkChild(b.manager.await(id))
        yield* researcher.release.open
        assert.strictEqual((yield* Fiber.join(ended)).task.status, "completed")
        assert.deepStrictEqual(yield* resultsIn(both, id), [["completed", `[{"TYPE":"TEXT","TEXT":"OAK"}]`]])
        const children = yield* childrenOf(b.manager, id)
        assert.deepStrictEqual(children.map((one) => [one.id, one.attempt, one.status]), [[child, 1, "completed"]])
        assert.strictEqual((yield* both.backend.get(id)).usage?.requests, 3)
      }).pipe(quietly))

    it.live("P8: the child's owner dies, another process continues the child, and the parent gets its result", () =>
      Effect.gen(function*() {
        const { a, b, begin, both, child, id, researcher } = yield* apart(
          yield* makeMortalWriter([[ask("oak")], ["written"]]),
          { b: mortal }
        )
        b.line.cut()
        yield* begin
        assert.strictEqual((yield* Queue.take(researcher.begun)).taskId, child)
        yield* researcher.release.open
        assert.strictEqual((yield* a.manager.await(id)).task.status, "completed")
        // A slow machine may lose a lease again.
        assert.isAtLeast((yield* both.backend.get(child)).attempt, 2)
      }).pipe(quietly))

    it.live("P8: a hand-over of either is no cancel", () =>
      Effect.gen(function*() {
        const { a, b, begin, both, child, id, researcher } = yield* apart(
          yield* makeWriter([[ask("oak")], ["written"]])
        )
        yield* a.terminate
        const c = yield* begin
        yield* b.terminate
        assert.deepStrictEqual(yield* Queue.take(researcher.stopped), Option.some("shutdown"))
        assert.strictEqual((yield* Queue.take(researcher.begun)).taskId, child)
        yield* researcher.release.open
        assert.strictEqual((yield* c.manager.await(id)).task.status, "completed")
        assert.strictEqual((yield* both.backend.get(child)).status, "completed")
        assert.deepStrictEqual(yield* resultsIn(both, id), [["completed", `[{"TYPE":"TEXT","TEXT":"OAK"}]`]])
      }).pipe(quietly))

    // Nothing here waits for the child to begin: a slow machine may not come to it in time.
    it.live("the deadline of the parent ends the child", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        // The deadline of the child may be noticed first: then the parent asks its model once more.
        const writer = yield* makeWriter([[ask("oak")], [{ never: true }]], { timeouts: { task: "1 second" } })
        const { agent } = yield* makeResearcher
        const { manager } = yield* startProcess(both, [writer, agent], quick)
        const { id } = yield* manager.start({ message: "Write." })
        assert.strictEqual((yield* manager.await(id)).task.error?.code, "DeadlineExceeded")
        for (const child of yield* childrenOf(manager, id)) {
          assert.oneOf(child.error?.code ?? child.status, ["DeadlineExceeded", "cancelled"])
        }
      }).pipe(quietly))

    it.live("P11: the number and the depth of child tasks have bounds, and the budget of the parent is that of its child", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        const used = { finish: "tool-calls", usage: { input: 30, output: 30 } } as const
        const deep = yield* makeWriter([[ask("deeper")], [{ tool: "nope" }, used], ["never"]], {
          agentId: "researcher"
        })
        const writer = yield* makeWriter([[ask("oak"), ask("elm"), {
          finish: "tool-calls",
          usage: { input: 0, output: 0 }
        }], [
          "never"
        ]], { budget: { maxTotalTokens: 50 } })
        const { manager } = yield* startProcess(both, [writer, deep], { ...quick, childrenPerTask: 1, childDepth: 1 })
        const { id } = yield* manager.start({ message: "Write." })
        assert.strictEqual((yield* manager.await(id)).task.error?.code, "BudgetExceeded")
        const children = yield* childrenOf(manager, id)
        assert.deepStrictEqual(children.map((one) => one.error?.code), ["BudgetExceeded"])
        const refusals = yield* Effect.map(
          Effect.forEach([id, ...children.map((one) => one.id)], (of) => resultsIn(both, of)),
          (results) => JSON.stringify(results.flat())
        )
        assert.include(refusals, "The task has started 1 task, and may start no more.")
        assert.include(refusals, "A task at depth 1 starts no further tasks: the limit is 1.")
      }).pipe(quietly))

    it.live("a child that takes too long is an error for the model, and its task goes on", () =>
      Effect.gen(function*() {
        const both = yield* yield* open
        const writer = yield* makeWriter([[ask("oak")], ["written"]], {}, { timeout: "300 millis" })
        const { agent } = yield* makeResearcher
        const { manager } = yield* startProcess(both, [writer, agent], quick)
        const { id } = yield* manager.start({ message: "Write." })
        assert.strictEqual((yield* manager.await(id)).task.status, "completed")
        const [[status, result] = []] = yield* resultsIn(both, id)
        assert.strictEqual(status, "error")
        assert.match(JSON.stringify(result), /did not end within/)
      }).pipe(quietly))
  })

for (const [name, layer] of stores) suite(name, Effect.map(build(HintedStore.layer(layer)), Effect.succeed))

withRedis("Redis", (url) => {
  const layer = layerEmpty(url, (prefix) => RedisStore.layer({ url, prefix }))
  suite("Redis", Effect.map(build(HintedStore.layer(layer)), Effect.succeed))
})

withPostgres("PostgreSQL", (url) => {
  const open = Effect.map(
    makeSchema(url),
    ({ startupParameters }) => build(PgStore.layer({ url: Redacted.value(url), maxConnections: 3, startupParameters }))
  )
  suite("PostgreSQL", open)
})
