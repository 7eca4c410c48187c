import { assert, describe, it } from "@effect/vitest"
import * as Agent from "@perennial/domain/Agent"
import type * as TaskEvent from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Fiber, Latch, Layer, Redacted, Schedule, Stream } from "effect"
import { FetchHttpClient, HttpServer } from "effect/http"
import * as Http from "node:http"
import { makeCuttingProxy } from "./cuttingProxy.ts"
import { makeManager, portOf, serve } from "./nodeServer.ts"
import { layerTokens, makeEcho } from "./support.ts"

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const seqs = (events: ReadonlyArray<TaskEvent.StoredEvent>) => events.map(({ seq }) => seq)

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

describe("watch", () => {
  it.live("gets the current token before each connection", () =>
    Effect.gen(function*() {
      const server = yield* Layer.build(
        Server.layer({ retry: "10 millis" }).pipe(
          Layer.provide([yield* makeManager(makeEcho()), layerTokens]),
          Layer.provideMerge(NodeServer.layer({ port: 0 }))
        )
      )
      const port = yield* portOf(Context.get(server, HttpServer.HttpServer))
      const task = yield* start(yield* clientOf(port, "alice-secret"), "10x1")
      const proxy = yield* makeCuttingProxy(port, () => 700)
      let asked = 0
      const { watch } = yield* Effect.provide(
        Client.PerennialClient,
        Client.layer({
          baseUrl: `http://127.0.0.1:${proxy.port}`,
          token: Effect.sync(() => {
            asked++
            return Redacted.make("alice-secret")
          })
        }).pipe(Layer.provide(FetchHttpClient.layer))
      )
      yield* Stream.runDrain(watch(task.id, { schedule: Schedule.spaced("5 millis") }))
      assert.isAbove(asked, 1)
      assert.strictEqual(asked, proxy.connections())
    }))

  it.live("fails with the last error when its schedule ends", () =>
    Effect.gen(function*() {
      const { close, port } = yield* serve(yield* makeManager(makeEcho()))
      const client = yield* clientOf(port)
      const task = yield* start(client, "a hold")
      const reached = yield* Latch.make()
      const reading = yield* Effect.forkChild(Effect.flip(
        client.watch(task.id, { schedule: Schedule.recurs(2) }).pipe(
          Stream.tap(({ seq }) => seq === 3 ? reached.open : Effect.void),
          Stream.runDrain
        )
      ))
      yield* reached.await
      yield* close
      assert.strictEqual((yield* Fiber.join(reading))._tag, "HttpClientError")
    }))
})

describe("the server on Node.js", () => {
  it.live("P8: with `handOver`, the server hands its tasks over while it still waits for a request to end", () =>
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
      // The body of this request is never sent.
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

  it.live("SCENARIO 16: when a reader disconnects, its connection is closed and its event stream ends", () =>
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

  it.live("sends its token to the server, and fails with a typed error if the token is wrong", () =>
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

  it.live("SCENARIO 14: a stalled reader delays no other reader, and gets all events later", () =>
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
