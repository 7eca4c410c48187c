import { assert, describe, it } from "@effect/vitest"
import * as Agent from "@perennial/domain/Agent"
import { TaskId } from "@perennial/domain/Ids"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Exit, Fiber, Latch, Layer, Queue, Redacted, Schedule, Scope, Stream } from "effect"
import { FetchHttpClient, HttpServer } from "effect/http"
import * as Http from "node:http"
import { type Limit, makeCuttingProxy } from "./cuttingProxy.ts"
import { type Echo, layerMemory, layerTokens, makeEcho } from "./support.ts"

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const seqs = (events: ReadonlyArray<TaskEvent.StoredEvent>) => events.map(({ seq }) => seq)
const withoutTimes = (events: ReadonlyArray<TaskEvent.StoredEvent>) => events.map(({ event, seq }) => ({ event, seq }))
const soon = { schedule: Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 1000 })) }

/** A task manager that outlives the servers in front of it. */
const makeManager = (echo: Echo) =>
  Effect.map(Layer.build(layerMemory(echo)), (context) => Layer.succeedContext(context))

const portOf = (server: HttpServer.HttpServer["Service"]) =>
  Effect.sync(() => "port" in server.address ? Number(server.address.port) : 0)

const serve = Effect.fnUntraced(function*(
  manager: Layer.Layer<Layer.Success<ReturnType<typeof layerMemory>>>,
  options?: Server.Options & Partial<NodeServer.Options>
) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(
    Server.layer({ retry: "10 millis", ...options }).pipe(
      Layer.provide([manager, Tokens.layerLocal]),
      Layer.provideMerge(NodeServer.layer({ port: 0, ...options }))
    ),
    scope
  )
  const port = yield* portOf(Context.get(context, HttpServer.HttpServer))
  return { port, close: Scope.close(scope, Exit.void) }
})

const clientOf = (port: number, token?: string) =>
  Effect.map(
    Layer.build(
      Client.layer({
        baseUrl: `http://127.0.0.1:${port}`,
        token: token === undefined ? undefined : Redacted.make(token)
      }).pipe(Layer.provide(FetchHttpClient.layer))
    ),
    Context.get(Client.PerennialClient)
  )

const start = (client: Client.PerennialClient["Service"], message: string) =>
  Effect.map(client.tasks.start({ payload: { message } }), ({ body }) => body)

const bytes = (...limits: ReadonlyArray<number>): Limit => (n) => limits[n % limits.length] ?? 0

/** Up to the end of the k-th event; the opening comment comes before the first. */
const events = (k: number): Limit => (_, text) => {
  let end = text.indexOf("\n\n")
  for (let i = 0; i < k && end !== -1; i++) end = text.indexOf("\n\n", end + 2)
  return end === -1 ? text.length + 1 : end + 2
}

describe("watch", () => {
  it.live("SCENARIO 3, P3: cut after every k-th event, or anywhere, a reader gets every event once, in order", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const direct = yield* clientOf(port)
      const task = yield* start(direct, "30x1")
      const all = yield* Stream.runCollect(direct.watch(task.id))
      assert.deepStrictEqual(seqs(all), upTo(34))
      const limits = [...[1, 2, 7, 33].map(events), bytes(450), bytes(451, 20, 1_000), bytes(1_001, 0, 997)]
      yield* Effect.forEach(limits, (limit) =>
        Effect.gen(function*() {
          const proxy = yield* makeCuttingProxy(port, limit)
          const client = yield* clientOf(proxy.port)
          const cut = yield* Stream.runCollect(client.watch(task.id, soon))
          assert.deepStrictEqual(withoutTimes(cut), withoutTimes(all))
          assert.isAbove(proxy.connections(), 1)
        }), { concurrency: "unbounded", discard: true })
    }))

  it.live("SCENARIO 4: cut again before any event, the cursor is kept", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const direct = yield* clientOf(port)
      const task = yield* start(direct, "10x1")
      yield* Stream.runDrain(direct.watch(task.id))
      // The first response carries some events; the next three the opening comment, or less.
      const proxy = yield* makeCuttingProxy(port, (n) => [700, 6, 1, 6][n] ?? Number.POSITIVE_INFINITY)
      const events = yield* Stream.runCollect((yield* clientOf(proxy.port)).watch(task.id, soon))
      assert.deepStrictEqual(seqs(events), upTo(14))
      assert.strictEqual(proxy.connections(), 5)
    }))

  it.live("SCENARIO 5: at the terminal event it ends at once", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "a")
      const events = yield* Stream.runCollect(client.watch(task.id))
      const last = events.at(-1)
      assert.isTrue(last !== undefined && TaskEvent.isTerminal(last.event))
      assert.deepStrictEqual(yield* Stream.runCollect(client.watch(task.id, { after: last?.seq })), [])
    }))

  it.live("SCENARIO 6: history and live events meet without a gap or a repetition", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "500x2")
      const readers = yield* Effect.forEach(upTo(10), () => Stream.runCollect(client.watch(task.id)), {
        concurrency: "unbounded"
      })
      for (const events of readers) assert.deepStrictEqual(seqs(events), upTo(1004))
    }))

  it.live("SCENARIO 7: joined before anything has happened, it waits", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const { port } = yield* serve(yield* makeManager(echo))
      const client = yield* clientOf(port)
      const task = yield* start(client, "hold a")
      const arrived = yield* Queue.unbounded<number>()
      const reader = yield* Effect.forkChild(
        Stream.runForEach(client.watch(task.id), ({ seq }) => Queue.offer(arrived, seq))
      )
      assert.deepStrictEqual([yield* Queue.take(arrived), yield* Queue.take(arrived)], [1, 2])
      yield* echo.gate.open
      yield* Fiber.join(reader)
      assert.deepStrictEqual(yield* Queue.takeAll(arrived), [3, 4, 5, 6])
    }))

  it.live("SCENARIO 9, 10: what cannot be read fails at once, by name", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "hold")
      const ahead = yield* Effect.flip(Stream.runDrain(client.watch(task.id, { after: 99 })))
      assert(ahead._tag === "CursorAhead")
      assert.strictEqual(ahead.after, 99)
      const unknown = yield* Effect.flip(Stream.runDrain(client.watch(TaskId.make("none"))))
      assert.strictEqual(unknown._tag, "TaskNotFound")
    }))

  it.live("a server that drains and restarts is survived", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const manager = yield* makeManager(echo)
      const first = yield* serve(manager)
      const client = yield* clientOf(first.port)
      const task = yield* start(client, "5x1 hold 4x1")
      const reached = yield* Latch.make()
      const reader = yield* Effect.forkChild(
        client.watch(task.id, soon).pipe(
          Stream.tap(({ seq }) => seq === 7 ? reached.open : Effect.void),
          Stream.runCollect
        )
      )
      yield* reached.await
      yield* first.close
      yield* serve(manager, { port: first.port })
      yield* echo.gate.open
      assert.deepStrictEqual(seqs(yield* Fiber.join(reader)), upTo(14))
    }))

  it.live("it gives up when its schedule does, and says where", () =>
    Effect.gen(function*() {
      const { close, port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "a hold")
      const reached = yield* Latch.make()
      const reader = yield* Effect.forkChild(Effect.flip(
        client.watch(task.id, { schedule: Schedule.recurs(2) }).pipe(
          Stream.tap(({ seq }) => seq === 3 ? reached.open : Effect.void),
          Stream.runDrain
        )
      ))
      yield* reached.await
      yield* close
      assert.strictEqual((yield* Fiber.join(reader))._tag, "HttpClientError")
    }))
})

describe("the server on Node.js", () => {
  it.live("P8: where the process ends with it, tasks are handed over while it still waits for a request", () =>
    Effect.gen(function*() {
      const began = yield* Latch.make()
      const stopped = yield* Latch.make()
      const waiting = Agent.make(
        "waiting",
        () => Effect.ensuring(Effect.andThen(began.open, Effect.never), stopped.open)
      )
      const manager = Layer.orDie(Layer.provide(TaskRuntime.layerMemory, Agent.Agents.layer([waiting])))
      const { close, port } = yield* serve(manager, { handOver: true })
      yield* start(yield* clientOf(port), "x")
      yield* began.await
      // The body of this request does not come.
      const request = Http.request({ port, host: "127.0.0.1", method: "POST", path: "/tasks" })
      request.on("error", () => {})
      request.setHeader("content-length", 10).flushHeaders()
      yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/health`))
      const closing = yield* Effect.forkChild(close)
      yield* stopped.await
      assert.isUndefined(closing.pollUnsafe())
      request.destroy()
      yield* Fiber.join(closing)
    }))

  it.live("SCENARIO 16: a reader that leaves frees its connection and its source", () =>
    Effect.gen(function*() {
      const manager = yield* makeManager(makeEcho())
      const left = yield* Latch.make()
      const spied = Layer.effect(
        TaskManager,
        Effect.map(TaskManager, (inner) =>
          TaskManager.of({
            ...inner,
            open: (id, options) =>
              Effect.map(inner.open(id, options), ({ events, task }) => ({
                task,
                events: Stream.ensuring(events, left.open)
              }))
          }))
      ).pipe(Layer.provideMerge(manager))
      const { port } = yield* serve(spied)
      const client = yield* clientOf(port)
      const task = yield* start(client, "hold")
      yield* Stream.runDrain(Stream.take(client.watch(task.id), 2))
      yield* left.await
      assert.strictEqual((yield* client.tasks.get({ params: { id: task.id } })).status, "running")
    }))

  it.live("tokens reach the server, and a wrong one is a typed error", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Server.layer().pipe(
          Layer.provide([yield* makeManager(makeEcho()), layerTokens]),
          Layer.provideMerge(NodeServer.layer({ port: 0 }))
        )
      )
      const port = yield* portOf(Context.get(context, HttpServer.HttpServer))
      assert.strictEqual((yield* start(yield* clientOf(port, "alice-secret"), "a")).status, "queued")
      assert.strictEqual((yield* Effect.flip(start(yield* clientOf(port, "wrong"), "a")))._tag, "Unauthorized")
    }))

  it.live("SCENARIO 14: a reader that never reads holds back nobody, and finds everything later", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "200x100")
      const stalled = yield* Effect.acquireRelease(
        Effect.callback<Http.IncomingMessage>((resume) => {
          Http.get({ port, host: "127.0.0.1", path: `/tasks/${task.id}/events` }, (response) => {
            response.pause()
            resume(Effect.succeed(response))
          })
        }),
        (response) => Effect.sync(() => response.destroy())
      )
      assert.deepStrictEqual(seqs(yield* Stream.runCollect(client.watch(task.id))), upTo(20_004))
      const late = yield* Effect.callback<number>((resume) => {
        let text = ""
        stalled.on("data", (chunk: Buffer) => text += chunk.toString())
        stalled.on("end", () => resume(Effect.succeed(text.match(/^id: /gm)?.length ?? 0)))
        stalled.resume()
      })
      assert.strictEqual(late, 20_004)
    }))
})
