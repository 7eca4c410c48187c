/**
 * `GET /metrics` for Prometheus, and the metrics of requests and event streams.
 *
 * Metrics have no names of users, but they show how much a server is used: only a principal with the role `operator` reads
 * them.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Layer, Metric, Schema } from "effect"
import { HttpEffect, HttpRouter } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Authorization } from "./Authorization.ts"
import { StreamMeter, streamMeter } from "./internal/streamMeter.ts"
import { Operator } from "./OperatorApi.ts"

class MetricsGroup extends HttpApiGroup.make("metrics")
  .add(
    HttpApiEndpoint.get("read", "/metrics", {
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
    })
  )
  .middleware(Operator)
  .middleware(Authorization)
{}

class MetricsApi extends HttpApi.make("perennial-metrics").add(MetricsGroup) {}

const suffixes: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" }

/**
 * All metrics of this process as Prometheus reads them: with the unit of a metric, and `_total` for a counter, in its name.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format: Effect.Effect<string> = Effect.gen(function*() {
  const names = new Map<string, string>()
  for (const { attributes, id, type } of yield* Metric.snapshot) {
    names.set(id, `${id}${suffixes[attributes?.["unit"] ?? ""] ?? ""}${type === "Counter" ? "_total" : ""}`)
  }
  return yield* PrometheusMetrics.format({ metricNameMapper: (name) => names.get(name) ?? name })
})

/**
 * Serves `GET /metrics` to operators: add it to the routes of `Server.serve`. Others are answered 401 or 403.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = HttpApiBuilder.layer(MetricsApi).pipe(
  Layer.provide(HttpApiBuilder.group(MetricsApi, "metrics", (handlers) => handlers.handleAll({ read: () => format }))),
  Layer.provide(Operator.layer)
)

const requestDuration = Metric.histogram("http.server.request.duration", {
  description: "Requests, until the head of the response.",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  attributes: { unit: "s" }
})

/**
 * Measures every request, by method and status: add it to the routes of `Server.serve`. The status 429 counts the requests
 * that a rate limit refused.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRequests: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.middleware(
  (app) =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const from = clock.monotonicTimeNanosUnsafe()
      const measure = HttpEffect.appendPreResponseHandler((request, response) =>
        Effect.sync(() => {
          const seconds = Number(clock.monotonicTimeNanosUnsafe() - from) / 1e9
          metricOf(request.method, response.status).updateUnsafe(seconds, fiber.context)
          return response
        })
      )
      return Effect.andThen(measure, app)
    }),
  { global: true }
)

/** Looking a metric up by its attributes is what an update costs. */
const byStatus = new Map<string, Metric.Metric<number, unknown>>()

const metricOf = (method: string, status: number): Metric.Metric<number, unknown> => {
  const key = `${method} ${status}`
  let metric = byStatus.get(key)
  if (metric === undefined) {
    metric = Metric.withAttributes(requestDuration, {
      "http.request.method": method,
      "http.response.status_code": String(status)
    })
    byStatus.set(key, metric)
  }
  return metric
}

/**
 * Measures event streams: how many are open, and how far readers are behind live events. Provide it to `Server.serve`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStreams: Layer.Layer<never> = Layer.effect(
  StreamMeter,
  Effect.contextWith((context) => Effect.succeed(streamMeter(context)))
)
