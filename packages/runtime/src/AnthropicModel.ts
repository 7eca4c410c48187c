/**
 * Claude models through `@anthropic-ai/sdk`, an optional peer dependency: this module is not in the package's index.
 *
 * An interruption aborts the request on the wire. The SDK's own repeats are switched off: the agent repeats requests, with
 * events and spans. A stream that ends without `message_stop` is an error, never an answer.
 *
 * @since 0.1.0
 */
// @effect-diagnostics asyncFunction:off
import Anthropic from "@anthropic-ai/sdk"
import { Cause, Clock, Config, Context, Duration, Effect, Layer, Option, Queue, Redacted, Schema, Stream } from "effect"
import { AiError, LanguageModel, Model, type Response, Telemetry, type Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import {
  contextFull,
  network,
  refusedTool,
  requestIdOf,
  toReason,
  withRefusedFile
} from "./internal/anthropic/error.ts"
import { defaultMaxTokens, type RequestSettings, toRequest } from "./internal/anthropic/request.ts"
import { isContextFull, ResponseDecoder, toParts } from "./internal/anthropic/response.ts"
import { eventsOf } from "./internal/anthropic/stream.ts"
import * as ProviderParts from "./internal/history/providerParts.ts"
import {
  CurrentAnswerForm,
  CurrentModelActivity,
  CurrentModelLimits,
  CurrentModelSettings,
  CurrentStructuredOutput,
  from
} from "./ModelSettings.ts"

/**
 * The default model.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultModel = "claude-opus-5-5"

/**
 * Settings that are sent with each request. The settings of an agent have precedence. `temperature` is not sent, because
 * the API does not have it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnthropicSettings extends RequestSettings {
  /** The size of the context: tokens of a prompt and its answer together. `layer` tells agents. 200,000 by default. */
  readonly contextTokens?: number | undefined
  /**
   * Whether the model has structured output, which `layer` tells agents. True by default. `false` is for older models, and for
   * gateways without it: agents then ask for a typed answer by a tool.
   */
  readonly structuredOutput?: boolean | undefined
}

/**
 * The connection to the API.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnthropicOptions extends AnthropicSettings {
  readonly apiKey: Redacted.Redacted
  /** `https://api.anthropic.com` by default. */
  readonly baseUrl?: string | undefined
  /** The longest time from sending a request to the headers of its response. 2 minutes by default. */
  readonly headersTimeout?: Duration.Input | undefined
}

const maxReported = 1_000

/**
 * A model over a client of the SDK, for clients that need more than a key. Set the client's `maxRetries` to 0, and provide
 * `CurrentModelLimits` beside the model, as `layer` does.
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
  /** The tools that were left out. Each is logged once. */
  const reported = new Set<string>()
  /** The tools that the API has refused, and what it said. */
  const refusedTools = new WeakMap<Tool.Any, string>()

  const failWith = (method: string, reason: AiError.AiErrorReason) =>
    AiError.make({ module: "AnthropicModel", method, reason })
  const failed = (method: string) => (error: unknown) =>
    failWith(method, toReason(error, url, clock.currentTimeMillisUnsafe()))
  const logFailure = (error: AiError.AiError, requestId = requestIdOf(error)) =>
    // The other lines are general advice.
    Effect.annotateLogs(Effect.logInfo("A model request failed.", error.message.split("\n")[0]), { model, requestId })
  const logAnswer = (requestId: string | null) =>
    Effect.annotateLogs(Effect.logDebug("The model answers."), { model, requestId: requestId ?? "none" })

  const requestOf = Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions) {
    const form = yield* CurrentAnswerForm
    const own = { ...settings, ...from(yield* CurrentModelSettings), model }
    const built = toRequest(own, options, { refused: refusedTools, form })
    const { leftOut, request } = built
    for (const { name, why } of leftOut) {
      if (reported.has(name)) continue
      if (reported.size < maxReported) reported.add(name)
      yield* Effect.logWarning(`The tool "${name}" is left out of requests to Claude: ${why}.`)
    }
    Telemetry.addGenAIAnnotations(options.span, {
      provider: { name: "anthropic" },
      operation: { name: "chat" },
      request: { model, maxTokens: request.max_tokens }
    })
    return built
  })

  /**
   * Sends a request. If the API refuses a tool, the request is sent again without it, and so are later ones: there are as
   * many tries as tools, at most. A function of its own, so that the request can be collected while its answer is read.
   */
  const send = <A>(
    method: "streamText" | "generateText",
    options: LanguageModel.ProviderOptions,
    call: (request: Anthropic.MessageCreateParamsNonStreaming, signal: AbortSignal) => Promise<A>
  ): Effect.Effect<A, AiError.AiError> =>
    Effect.flatMap(
      requestOf(options),
      (built) =>
        Effect.tryPromise({ try: (signal) => call(built.request, signal), catch: failed(method) }).pipe(
          Effect.mapError((error) => withRefusedFile(error, built)),
          Effect.tapError((error) => logFailure(error)),
          Effect.catch((error) => {
            const refused = refusedTool(error)
            const tool = refused === undefined ? undefined : built.tools[refused]
            if (tool === undefined) return Effect.fail(error)
            refusedTools.set(tool, `the API refuses it (${error.message})`)
            return send(method, options, call)
          })
        )
    )

  const streamText = Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions) {
    const alive = yield* CurrentModelActivity
    // The scope of the stream closes at its end, on a failure or interruption, and when its reader stops early.
    const signal = yield* Effect.abortSignal
    const response = yield* send(
      "streamText",
      options,
      (request) => client.messages.create({ ...request, stream: true }, { signal }).asResponse()
    )
    const requestId = response.headers.get("request-id") ?? "none"
    yield* logAnswer(requestId)
    const queue = yield* Queue.unbounded<Response.StreamPartEncoded, AiError.AiError | Cause.Done>()
    const decoder = new ResponseDecoder(model)
    const isDeclared = ProviderParts.declaredFor(options)
    const fail = (reason: AiError.AiErrorReason) =>
      Queue.failCauseUnsafe(queue, Cause.fail(failWith("streamText", reason)))
    const end = () => {
      if (decoder.contextFull) fail(contextFull(requestId))
      // The iteration ends silently when the request is aborted, and when the body ends early.
      else if (decoder.done || signal.aborted) Queue.endUnsafe(queue)
      else fail(network(url, "the response ended before message_stop"))
    }
    const events = eventsOf(response, alive)
    // All events of one network read are parsed in a row of microtasks, and the reader wakes up after them: the
    // queue hands them over as one array. The queue holds no more than one answer, which `maxTokens` bounds.
    const pump = async () => {
      try {
        for await (const event of events) {
          const parts = decoder.read(event).filter(isDeclared)
          if (parts.length > 0) Queue.offerAllUnsafe(queue, parts)
        }
        end()
      } catch (error) {
        // A failure of the connection after `message_stop` has no effect, and an aborted request has no reader.
        if (decoder.done || signal.aborted) end()
        else fail(toReason(error, url, clock.currentTimeMillisUnsafe()))
      }
    }
    // Owned by the scope of the stream: `signal` ends it.
    void pump()
    const next = Effect.tapError(
      Queue.takeAll(queue),
      (error) => Cause.isDone(error) ? Effect.void : logFailure(error, requestId)
    )
    // The body is read to its end, so that the connection can be used again; but that end is not waited for.
    const last = () =>
      Effect.timeoutOrElse(next, { duration: "1 second", orElse: () => Effect.andThen(Effect.sync(end), next) })
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => decoder.done ? last() : next)))
  })

  const generateText = Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions) {
    const message = yield* send(
      "generateText",
      options,
      (request, signal) => client.messages.create(request, { signal })
    )
    const requestId = message._request_id ?? null
    yield* logAnswer(requestId)
    if (isContextFull(message)) return yield* failWith("generateText", contextFull(requestId ?? "none"))
    return yield* Effect.try({ try: () => toParts(message, model), catch: failed("generateText") }).pipe(
      Effect.tapError((error) => logFailure(error, requestId ?? "none"))
    )
  })

  return yield* LanguageModel.make({
    codecTransformer: toCodecAnthropic,
    generateText,
    streamText: (options) => Stream.unwrap(streamText(options))
  })
})

/**
 * A model over a key, with its name (`Model.ModelName`) and its `CurrentModelLimits`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: AnthropicOptions): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effectContext(Effect.suspend(() => {
    const client = new Anthropic({
      apiKey: Redacted.value(options.apiKey),
      maxRetries: 0,
      timeout: Duration.toMillis(Duration.fromInputUnsafe(options.headersTimeout ?? "2 minutes")),
      // Effect's tracer makes the spans, Effect's logger the log.
      openTelemetry: false,
      logLevel: "off",
      ...(options.baseUrl === undefined ? {} : { baseURL: options.baseUrl })
    })
    const limits = {
      contextTokens: options.contextTokens ?? 200_000,
      answerTokens: options.maxTokens ?? defaultMaxTokens
    }
    return Effect.map(
      make(client, options),
      (model) =>
        Context.make(LanguageModel.LanguageModel, model).pipe(
          Context.add(Model.ModelName, options.model ?? defaultModel),
          Context.add(CurrentModelLimits, limits),
          Context.add(CurrentStructuredOutput, options.structuredOutput === false ? undefined : toCodecAnthropic)
        )
    )
  }))

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
 * A model from environment variables.
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
