/**
 * Traces, metrics and logs of the server: `/metrics` for Prometheus, and OTLP for a collector.
 */
import * as Metrics from "@perennial/http/Metrics"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import * as TaskTelemetry from "@perennial/runtime/TaskTelemetry"
import { Layer, Option, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import * as Engine from "./Engine.ts"
import type { ServerConfig } from "./ServerConfig.ts"

type Config = ServerConfig["telemetry"]

const isOn = ({ metrics, otlp }: Config): boolean => metrics || Option.isSome(otlp)

/** The runtime with the engine of the settings, observed unless all telemetry is off. */
export const tasks = (config: ServerConfig) => {
  const runtime = TaskRuntime.layerWithEngine(Engine.layer(config))
  return isOn(config.telemetry) ? runtime.pipe(Layer.provide(TaskTelemetry.layer())) : runtime
}

/** Beside the routes of the API. */
export const routes = (config: Config) =>
  Layer.merge(isOn(config) ? Metrics.layerRequests : Layer.empty, config.metrics ? Metrics.layer : Layer.empty)

/** For the event streams of the server. */
export const streams = (config: Config) => isOn(config) ? Metrics.layerStreams : Layer.empty

/** Below everything else: what makes spans and log lines sends them to the collector. */
export const exporter = ({ headers, otlp, traceRatio, tracesPerSecond }: Config) =>
  Option.match(otlp, {
    onNone: () => Layer.empty,
    onSome: (baseUrl) =>
      TaskTelemetry.layerSampled(traceRatio, tracesPerSecond).pipe(
        Layer.provideMerge(TaskTelemetry.layerWithoutContents),
        Layer.provideMerge(Otlp.layerJson({
          baseUrl,
          headers: Redacted.value(headers),
          resource: { serviceName: "perennial", attributes: { "service.instance.id": String(process.pid) } },
          // A process that is killed loses what it has not sent.
          tracerExportInterval: "1 second",
          loggerMergeWithExisting: true
        })),
        Layer.provide(FetchHttpClient.layer)
      )
  })
