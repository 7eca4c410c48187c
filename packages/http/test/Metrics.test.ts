import { assert, describe, it } from "@effect/vitest"
import * as Metrics from "@perennial/http/Metrics"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import { Context, Effect, Layer, Metric } from "effect"
import { HttpServer } from "effect/http"
import { portOf } from "./nodeServer.ts"
import { layerMemory, layerTokens, makeEcho } from "./support.ts"

const serve = Effect.gen(function*() {
  const echo = makeEcho()
  const context = yield* Layer.build(
    Server.serve(Layer.mergeAll(Server.layerRoutes(), Metrics.layer, Metrics.layerRequests)).pipe(
      Layer.provide(layerTokens),
      Layer.provide(Metrics.layerStreams),
      Layer.provide(layerMemory(echo)),
      Layer.provideMerge(NodeServer.layer({ port: 0 }))
    )
  )
  return { echo, address: `http://127.0.0.1:${yield* portOf(Context.get(context, HttpServer.HttpServer))}` }
})

const fresh = Effect.provideService(Metric.MetricRegistry, new Map())

describe("Metrics", () => {
  it.live("P12: only an operator reads /metrics", () =>
    Effect.gen(function*() {
      const { address } = yield* serve
      const status = (headers: Record<string, string>) =>
        Effect.promise(async (signal) => (await fetch(`${address}/metrics`, { headers, signal })).status)
      assert.strictEqual(yield* status({}), 401)
      assert.strictEqual(yield* status({ authorization: "Bearer wrong" }), 401)
      assert.strictEqual(yield* status({ authorization: "Bearer bob-secret" }), 403)
    }).pipe(Effect.scoped, fresh))

  it.live("open streams, the lag of live events, and requests by status are measured", () =>
    Effect.gen(function*() {
      const { address, echo } = yield* serve
      const headers = { authorization: "Bearer alice-secret", "content-type": "application/json" }
      const request = (path: string, body?: object) =>
        Effect.promise((signal) =>
          fetch(`${address}${path}`, {
            signal,
            headers: body === undefined ? { ...headers, accept: "text/event-stream" } : headers,
            ...body !== undefined && { method: "POST", body: JSON.stringify(body) }
          })
        )
      const started = yield* request("/tasks", { message: "hold now" })
      const stream = yield* request(`${started.headers.get("location")}/events`)
      const reader = stream.body?.getReader()
      yield* Effect.promise(async () => reader?.read())
      assert.include(yield* Metrics.format, "perennial_streams_open 1\n")
      yield* echo.gate.open
      reader?.releaseLock()
      yield* Effect.promise(async () => stream.body?.pipeTo(new WritableStream()))
      const metrics = yield* Metrics.format
      assert.include(metrics, "perennial_streams_open 0\n")
      assert.match(metrics, /perennial_streams_lag_seconds_count [1-9]/)
      assert.include(
        metrics,
        `http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="201"} 1\n`
      )
    }).pipe(Effect.scoped, fresh))
})
