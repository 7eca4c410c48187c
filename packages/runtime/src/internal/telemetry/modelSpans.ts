/** Names, describes and measures the requests to models of any provider, by the conventions of OpenTelemetry. */
import type { Clock, Context, Tracer } from "effect"
import { Telemetry } from "effect/ai"
import * as Metrics from "./taskMetrics.ts"

const text = (span: Tracer.Span, key: string): string => String(span.attributes.get(key) ?? "")

/** Called when the answer to a request is complete, or has failed. */
export const modelSpans =
  (context: Context.Context<never>, clock: Clock.Clock): Telemetry.SpanTransformer => ({ response, span }) => {
    const finish = response.find((part) => part.type === "finish")
    const metadata = response.find((part) => part.type === "response-metadata")
    const { inputTokens, outputTokens } = finish?.usage ?? {}
    const attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": text(span, "gen_ai.provider.name"),
      "gen_ai.request.model": text(span, "gen_ai.request.model")
    }
    if (span.sampled) {
      Telemetry.addGenAIAnnotations(span, {
        operation: { name: "chat" },
        response: { id: metadata?.id, model: metadata?.modelId, finishReasons: finish && [finish.reason] },
        usage: { inputTokens: inputTokens?.total, outputTokens: outputTokens?.total }
      })
      const cacheRead = inputTokens?.cacheRead
      const reasoning = outputTokens?.reasoning
      if (cacheRead !== undefined) span.attribute("gen_ai.usage.cache_read.input_tokens", cacheRead)
      if (reasoning !== undefined) span.attribute("gen_ai.usage.reasoning.output_tokens", reasoning)
      // `LanguageModel` names its span before the model is known. The name is read when the span is exported.
      Object.defineProperty(span, "name", { value: `chat ${attributes["gen_ai.request.model"]}`.trimEnd() })
    }
    const seconds = Number(clock.currentTimeNanosUnsafe() - span.status.startTime) / 1e9
    Metrics.update(context, Metrics.modelDuration, seconds, {
      ...attributes,
      "error.type": finish === undefined ? "_OTHER" : ""
    })
    for (const [type, count] of [["input", inputTokens?.total], ["output", outputTokens?.total]] as const) {
      if (count !== undefined) {
        Metrics.update(context, Metrics.modelTokens, count, { ...attributes, "gen_ai.token.type": type })
      }
    }
  }
