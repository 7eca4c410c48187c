/**
 * Claude models through `@anthropic-ai/sdk`, an optional peer dependency: this module is not in the package's index.
 *
 * Interrupting a request aborts it on the wire. The SDK repeats nothing by itself: repeats are the agent's, where clocks,
 * events and spans see them. A stream that ends without `message_stop` is an error, never an answer.
 *
 * @since 0.1.0
 */
// @effect-diagnostics asyncFunction:off
import Anthropic from "@anthropic-ai/sdk"
import { Cause, Clock, Config, Duration, Effect, Layer, Option, Queue, Redacted, Schema, Stream } from "effect"
import { AiError, LanguageModel, type Response, Telemetry } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import { network, toReason } from "./internal/anthropicError.ts"
import { toRequest } from "./internal/anthropicRequest.ts"
import { ResponseDecoder, toParts } from "./internal/anthropicResponse.ts"

/**
 * The model that is asked where none is named.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultModel = "claude-opus-5-5"

/**
 * What is sent with each request.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnthropicSettings {
  readonly model?: Anthropic.Model | undefined
  /** The longest answer, thinking included; 16,000 by default. */
  readonly maxTokens?: number | undefined
  readonly thinking?: Anthropic.ThinkingConfigParam | undefined
  /** How much the model thinks and writes. It has taken the place of `temperature`, which the API does not know. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** How long the provider keeps the prompt for the next request; 5 minutes by default. */
  readonly promptCache?: "5m" | "1h" | false | undefined
  /** No event for this long fails the request, to be repeated; 2 minutes by default. */
  readonly idleTimeout?: Duration.Input | undefined
}

/**
 * How the API is reached.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnthropicOptions extends AnthropicSettings {
  readonly apiKey: Redacted.Redacted
  /** `https://api.anthropic.com` by default. */
  readonly baseUrl?: string | undefined
  /** From sending a request to the headers of its response; 2 minutes by default. */
  readonly headersTimeout?: Duration.Input | undefined
}

/**
 * A model over a client of the SDK, for clients that need more than a key. Set its `maxRetries` to 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  client: Anthropic,
  settings: AnthropicSettings = {}
): Effect.fn.Return<LanguageModel.LanguageModel> {
  const clock = yield* Clock.Clock
  const url = `${client.baseURL}/v1/messages`
  const model = settings.model ?? defaultModel
  const idleMillis = Duration.toMillis(Duration.fromInputUnsafe(settings.idleTimeout ?? "2 minutes"))

  const failWith = (method: string, reason: AiError.AiErrorReason) =>
    AiError.make({ module: "AnthropicModel", method, reason })
  const failed = (method: string) => (error: unknown) =>
    failWith(method, toReason(error, url, clock.currentTimeMillisUnsafe()))

  const requestOf = (options: LanguageModel.ProviderOptions) => {
    const request = toRequest({ ...settings, model }, options)
    Telemetry.addGenAIAnnotations(options.span, {
      provider: { name: "anthropic" },
      operation: { name: "chat" },
      request: { model, maxTokens: request.max_tokens }
    })
    return request
  }

  const streamText = Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions) {
    // Aborted when the scope of the stream closes: at its end, a failure, an interruption, or when its reader leaves.
    const signal = yield* Effect.abortSignal
    const events = yield* Effect.tryPromise({
      try: () => client.messages.create({ ...requestOf(options), stream: true }, { signal }),
      catch: failed("streamText")
    })
    return Stream.callback<Response.StreamPartEncoded, AiError.AiError>(Effect.fnUntraced(function*(queue) {
      const decoder = new ResponseDecoder()
      let last = clock.currentTimeMillisUnsafe()
      const fail = (error: AiError.AiError) => Queue.failCauseUnsafe(queue, Cause.fail(error))
      // The SDK parses all events of one network read in a row of microtasks, and the reader wakes up after them: the
      // queue hands them over as one array. The queue holds no more than one answer, which `maxTokens` bounds.
      const pump = async () => {
        try {
          for await (const event of events) {
            last = clock.currentTimeMillisUnsafe()
            const parts = decoder.read(event)
            if (parts.length > 0) Queue.offerAllUnsafe(queue, parts)
          }
          // The iteration ends silently when the request is aborted, and when the body ends early.
          if (decoder.done || signal.aborted) Queue.endUnsafe(queue)
          else fail(failWith("streamText", network(url, "the response ended before message_stop")))
        } catch (error) {
          fail(failed("streamText")(error))
        }
      }
      // Owned by the scope of the stream: `signal` ends it.
      void pump()
      const watch: Effect.Effect<void> = Effect.suspend(() => {
        const left = last + idleMillis - clock.currentTimeMillisUnsafe()
        return left > 0
          ? Effect.flatMap(Effect.sleep(left), () => watch)
          : Effect.sync(() => fail(failWith("streamText", network(url, `no event for ${idleMillis} ms`))))
      })
      yield* Effect.forkScoped(watch)
    }))
  })

  return yield* LanguageModel.make({
    codecTransformer: toCodecAnthropic,
    generateText: (options) =>
      Effect.tryPromise({
        try: (signal) => client.messages.create(requestOf(options), { signal }),
        catch: failed("generateText")
      }).pipe(Effect.map(toParts)),
    streamText: (options) => Stream.unwrap(streamText(options))
  })
})

/**
 * A model with a key.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: AnthropicOptions): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.suspend(() =>
      make(
        new Anthropic({
          apiKey: Redacted.value(options.apiKey),
          maxRetries: 0,
          timeout: Duration.toMillis(Duration.fromInputUnsafe(options.headersTimeout ?? "2 minutes")),
          // Effect's tracer makes the spans, Effect's logger the log.
          openTelemetry: false,
          logLevel: "off",
          ...(options.baseUrl === undefined ? {} : { baseURL: options.baseUrl })
        }),
        options
      )
    )
  )

/**
 * The configuration of `layerConfig`: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` and `PERENNIAL_MODEL`.
 *
 * @since 0.1.0
 * @category config
 */
export const config = Config.all({
  apiKey: Config.schema(Schema.Redacted(Schema.NonEmptyString), "ANTHROPIC_API_KEY"),
  baseUrl: Config.option(Config.URL("ANTHROPIC_BASE_URL")),
  model: Config.withDefault(Config.NonEmptyString("PERENNIAL_MODEL"), defaultModel)
})

/**
 * A model as the environment says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  settings: Omit<AnthropicSettings, "model"> = {}
): Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError> =>
  Layer.unwrap(Effect.map(config, ({ apiKey, baseUrl, model }) =>
    layer({
      ...settings,
      apiKey,
      model,
      // The SDK adds the path, which begins with a slash.
      ...(Option.isNone(baseUrl) ? {} : { baseUrl: baseUrl.value.href.replace(/\/$/, "") })
    })))
