/**
 * Telemetry of the measured programs: metrics, and spans that are exported to a collector which costs nothing.
 */
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import * as TaskTelemetry from "@perennial/runtime/TaskTelemetry"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Otlp } from "effect/observability"
import * as Engine from "../test/support/engine.ts"

/** What `BENCH_TELEMETRY` says: nothing, metrics, or metrics and spans. */
export type Mode = "off" | "metrics" | "traces"

const mode = (process.env["BENCH_TELEMETRY"] ?? "off") as Mode

const collector = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}"))))
)

const unobserved = TaskRuntime.layerWithEngine(Engine.layer(process.env["BENCH_URL"] ?? ""))

/** The runtime, observed if it shall be; with `RUNNER_PORT` on a cluster. */
export const runtime = mode === "off" ? unobserved : unobserved.pipe(Layer.provide(TaskTelemetry.layer()))

export const exporter = mode === "traces"
  // As the server has them.
  ? TaskTelemetry.layerSampled(1, 50).pipe(
    Layer.provideMerge(TaskTelemetry.layerWithoutContents),
    Layer.provideMerge(Otlp.layerJson({
      baseUrl: "http://127.0.0.1:1",
      resource: { serviceName: "bench" },
      tracerExportInterval: "1 second"
    })),
    Layer.provide(collector)
  )
  : Layer.empty
