import { assert, describe, it } from "@effect/vitest"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import type { Authorization } from "@perennial/http/Authorization"
import * as Client from "@perennial/http/Client"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { Context, Duration, Effect, Fiber, Latch, Layer, Redacted, Stream } from "effect"
import { FetchHttpClient, HttpServer } from "effect/http"
import { conversationContract } from "./conversationContract.ts"
import { makeCuttingProxy } from "./cuttingProxy.ts"
import { feedContract } from "./feedContract.ts"
import { layerMemory, layerTokens, makeEcho } from "./support.ts"
import { contract, type Fixture } from "./taskManagerContract.ts"

const makeLocal = Effect.fnUntraced(function*(limits?: Partial<TaskLimits.TaskLimits>) {
  const echo = makeEcho()
  const context = yield* Layer.build(
    layerMemory(echo).pipe(
      Layer.provide(Layer.succeed(TaskLimits.CurrentTaskLimits, { ...TaskLimits.defaults, ...limits })),
      Layer.orDie
    )
  )
  const backend = Context.get(context, TaskBackend)
  const fixture: Fixture = {
    manager: Context.get(context, TaskManager),
    gate: echo.gate,
    expire: Effect.orDie(Effect.asVoid(backend.prune({ finishedFor: Duration.zero, limit: 1_000 })))
  }
  return { context, fixture }
})

type Local = Effect.Success<ReturnType<typeof makeLocal>>

/** Starts a server on a free port over the task manager of `local`. */
const serve = Effect.fnUntraced(function*(
  { context }: Local,
  authorization: Layer.Layer<Authorization, Tokens.NotLoopback, HttpServer.HttpServer> = Tokens.layerLocal
) {
  const server = yield* Layer.build(
    Server.layer().pipe(
      Layer.provide([Layer.succeedContext(context), authorization]),
      Layer.provideMerge(NodeServer.layer({ port: 0 })),
      Layer.orDie
    )
  )
  const { address } = Context.get(server, HttpServer.HttpServer)
  return "port" in address ? address.port : 0
})

const connect = (port: number, options?: Partial<Client.Options>) =>
  Effect.map(
    Layer.build(
      Client.layerTaskManager({ baseUrl: `http://127.0.0.1:${port}`, ...options }).pipe(
        Layer.provide(FetchHttpClient.layer)
      )
    ),
    Context.get(TaskManager)
  )

for (const define of [contract, feedContract, conversationContract]) {
  define("in process", (limits) => Effect.map(makeLocal(limits), ({ fixture }) => fixture))
  define("over HTTP", (limits) =>
    Effect.gen(function*() {
      const local = yield* makeLocal(limits)
      return { ...local.fixture, manager: yield* connect(yield* serve(local)) }
    }))
}

describe("only over HTTP", () => {
  it.live("P3: a reader gets all events although its connections are cut at any place", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      // Each response is cut after 700 bytes.
      const proxy = yield* makeCuttingProxy(yield* serve(local), () => 700)
      const manager = yield* connect(proxy.port)
      const { id } = yield* local.fixture.manager.start({ message: "20x1" })
      yield* local.fixture.manager.await(id)
      const seqs = yield* manager.events(id).pipe(
        Stream.unwrap,
        Stream.map(({ seq }) => seq),
        Stream.runCollect
      )
      assert.deepStrictEqual(seqs, Array.from({ length: 24 }, (_, i) => i + 1))
      assert.isAbove(proxy.connections(), 3)
    }))

  it.live("the feed of a client goes on although its connections are cut", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      const proxy = yield* makeCuttingProxy(yield* serve(local), (n) => n < 5 ? 1_000 : Number.POSITIVE_INFINITY)
      const manager = yield* connect(proxy.port)
      const feed = yield* manager.feed()
      const ended = new Set<string>()
      const startOne = Effect.gen(function*() {
        const { id } = yield* local.fixture.manager.start({ message: "a" })
        yield* local.fixture.manager.await(id)
        return id
      })
      const starting = yield* Effect.forkChild(Effect.all(Array.from({ length: 6 }, () => startOne)))
      yield* feed.pipe(
        Stream.tap(({ tasks }) =>
          Effect.sync(() => tasks.forEach(({ id, status }) => status === "completed" && ended.add(id)))
        ),
        Stream.takeUntil(() => ended.size === 6),
        Stream.runDrain
      )
      assert.sameMembers([...ended], [...yield* Fiber.join(starting)])
      assert.isAbove(proxy.connections(), 4)
    }))

  it.live("a start is repeated if its answer is lost, and starts one task", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      const proxy = yield* makeCuttingProxy(yield* serve(local), (n) => n === 0 ? 10 : Number.POSITIVE_INFINITY)
      const manager = yield* connect(proxy.port)
      const task = yield* manager.start({ message: "a" })
      assert.strictEqual(proxy.connections(), 2)
      assert.deepStrictEqual((yield* local.fixture.manager.list()).map(({ id }) => id), [task.id])
    }))

  it.live("cancel waits for the end of the task without a time limit", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      const asked = yield* Latch.make()
      const { manager: inner } = local.fixture
      // This manager does not wait for the end of the task, so that the server answers 202.
      const impatient = TaskManager.of({
        ...inner,
        cancel: (id, options) =>
          Effect.andThen(
            asked.open,
            Effect.flatMap(inner.get(id), (task) => options === undefined ? inner.cancel(id) : Effect.succeed(task))
          )
      })
      const port = yield* serve({ ...local, context: Context.add(local.context, TaskManager, impatient) })
      const manager = yield* connect(port)
      const { id } = yield* manager.start({ message: "a hold" })
      const cancelling = yield* Effect.forkChild(manager.cancel(id, { reason: "later" }))
      yield* asked.await
      yield* inner.cancel(id)
      assert.deepStrictEqual(yield* Fiber.join(cancelling), yield* inner.get(id))
    }))

  it.live("P12: the user is the user of the token, which may differ from request to request", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      const port = yield* serve(local, layerTokens)
      const ofUser = Effect.map(CurrentUser, (user) => Redacted.make(`${user}-secret`))
      const manager = yield* connect(port, { token: ofUser })
      const as = (user: string) => Effect.provideService(CurrentUser, UserId.make(user))
      const { id } = yield* as("alice")(manager.start({ message: "a" }))
      assert.strictEqual((yield* as("alice")(manager.await(id))).task.status, "completed")
      assert.deepStrictEqual(yield* Effect.flip(as("bob")(manager.get(id))), new TaskNotFound({ taskId: id }))
      assert.deepStrictEqual(yield* as("bob")(manager.list()), [])
      const asking = yield* as("alice")(manager.start({ message: "approve" }))
      yield* as("alice")(Effect.flatMap(manager.events(asking.id), (events) => Stream.runDrain(Stream.take(events, 3))))
      assert.strictEqual((yield* as("alice")(manager.approvals())).items[0]?.taskId, asking.id)
      assert.deepStrictEqual(yield* as("bob")(manager.approvals()), { items: [] })
      yield* as("alice")(manager.cancel(asking.id))
      const other = yield* connect(port, { token: "alice-secret" })
      assert.deepStrictEqual((yield* other.list()).map((task) => task.id), [asking.id, id])
    }))

  it.live("a refused token is a TaskBackendError with the cause", () =>
    Effect.gen(function*() {
      const local = yield* makeLocal()
      const port = yield* serve(local, layerTokens)
      const error = yield* Effect.flip((yield* connect(port, { token: "wrong" })).start({ message: "a" }))
      assert(error._tag === "TaskBackendError")
      assert.strictEqual(error.operation, "start")
      assert.propertyVal(error.cause, "_tag", "Unauthorized")
    }))
})
