/**
 * Any model of the AI SDK's provider packages: OpenAI, Gemini, Bedrock, Mistral, Azure, and every server with OpenAI's chat
 * completions, such as Ollama and vLLM. `@ai-sdk/provider` is an optional peer dependency of which only types are used: this
 * module is not in the package's index.
 *
 * An interruption aborts the request on the wire. Providers of the AI SDK do not repeat requests: the agent does, with events
 * and spans. An answer that ends early is an error, never an answer.
 *
 * **Example**
 *
 * ```ts
 * import { createOpenAI } from "@ai-sdk/openai"
 * import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
 *
 * const openai = createOpenAI({ apiKey: "...", fetch: AiSdkModel.fetch })
 * export const model = AiSdkModel.layer(openai("gpt-5.5"), { contextTokens: 400_000 })
 * ```
 *
 * @since 0.1.0
 */
// @effect-diagnostics asyncFunction:off
import type { LanguageModelV4, LanguageModelV4StreamPart, SharedV4Warning } from "@ai-sdk/provider"
import { Cause, Clock, Context, Effect, Layer, Queue, Stream } from "effect"
import { AiError, LanguageModel, Model, type Response, Telemetry } from "effect/ai"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import { notAnAnswer, Thrown, toReason } from "./internal/aiSdk/error.ts"
import { type RequestSettings, toCallOptions } from "./internal/aiSdk/request.ts"
import { finishPart, toParts, toStreamParts } from "./internal/aiSdk/response.ts"
import * as ProviderParts from "./internal/history/providerParts.ts"
import {
  CurrentAnswerForm,
  CurrentModelActivity,
  CurrentModelLimits,
  CurrentModelSettings,
  CurrentStructuredOutput,
  from,
  type ModelLimits
} from "./ModelSettings.ts"

/**
 * Settings that are sent with each request. The settings of an agent have precedence. `promptCache` and budgets of thinking
 * have no common form: providers that have them read them from `providerOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AiSdkSettings extends RequestSettings, ModelLimits {
  /**
   * Whether the model has structured output, also together with tools. `layer` tells agents, which ask other models for a
   * typed answer by a tool. True by default for OpenAI and Azure, false for all other providers.
   */
  readonly structuredOutput?: boolean | undefined
}

/** Names of providers in OpenTelemetry's conventions, where they differ from the AI SDK's. */
const conventional: ReadonlyMap<string, string> = new Map([
  ["google", "gcp.gemini"],
  ["amazon-bedrock", "aws.bedrock"],
  ["azure", "azure.ai.openai"],
  ["mistral", "mistral_ai"],
  ["xai", "x_ai"]
])

/**
 * By default OpenAI's Responses API stores answers for 30 days, and later requests refer to them by id. The conversation is
 * ours: nothing is stored there, and the encrypted reasoning comes back with each request.
 */
const withoutStore = (provider: string, { providerOptions = {} }: RequestSettings): RequestSettings => {
  const [name = "", api] = provider.split(".")
  return (name === "openai" || name === "azure") && api === "responses"
    ? { providerOptions: { ...providerOptions, [name]: { store: false, ...providerOptions[name] } } }
    : {}
}

const maxReported = 1_000

const textOf = (warning: SharedV4Warning): string => {
  if ("message" in warning) return warning.message
  return `${warning.type}: ${warning.feature}${warning.details === undefined ? "" : ` (${warning.details})`}`
}

/** The signs of life of the requests that `fetch` sends, by the signals of the requests. */
const activities = new WeakMap<AbortSignal, () => void>()

/**
 * A `fetch` for provider packages: it reports each piece of a response to the agent as activity of the model.
 *
 * **When to use** Give it to every provider whose servers send keep-alives while a model thinks. Provider packages ignore
 * keep-alives, so that without it a long silence ends the request (`timeouts.modelIdle`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const fetch: typeof globalThis.fetch = async (input, init) => {
  const response = await globalThis.fetch(input, init)
  const alive = init?.signal instanceof AbortSignal ? activities.get(init.signal) : undefined
  if (alive === undefined || response.body === null) return response
  const observed = response.body.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        alive()
        controller.enqueue(chunk)
      }
    })
  )
  const { headers, status, statusText } = response
  return new globalThis.Response(observed, { headers, status, statusText })
}

/**
 * A model of a provider package as a `LanguageModel`. Provide `CurrentModelLimits` beside the model, as `layer` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  model: LanguageModelV4,
  settings: AiSdkSettings = {}
): Effect.fn.Return<LanguageModel.LanguageModel> {
  const clock = yield* Clock.Clock
  const [provider = model.provider] = model.provider.split(".")
  const urls = yield* Effect.promise(async () => model.supportedUrls)
  const target = { model: `${provider}/${model.modelId}`, urls }
  /** The warnings that were logged. Each is logged once. */
  const reported = new Set<string>()

  const failWith = (method: string, reason: AiError.AiErrorReason) =>
    AiError.make({ module: "AiSdkModel", method, reason })
  const reasonOf = (error: unknown) => toReason(error, clock.currentTimeMillisUnsafe())
  const logFailure = (error: AiError.AiError) =>
    // The other lines are general advice.
    Effect.annotateLogs(Effect.logInfo("A model request failed.", error.message.split("\n")[0]), {
      model: model.modelId
    })

  const warn = (warnings: ReadonlyArray<SharedV4Warning>) =>
    Effect.forEach(warnings.map(textOf), (text) => {
      if (reported.has(text) || reported.size >= maxReported) return Effect.void
      reported.add(text)
      return Effect.annotateLogs(Effect.logWarning("The model provider warns.", text), { model: model.modelId })
    }, { discard: true })

  const optionsOf = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions) {
    const own = { ...settings, ...withoutStore(model.provider, settings), ...from(yield* CurrentModelSettings) }
    Telemetry.addGenAIAnnotations(asked.span, {
      provider: { name: conventional.get(provider) ?? provider },
      operation: { name: "chat" },
      request: { model: model.modelId, maxTokens: own.maxTokens, temperature: own.temperature }
    })
    return toCallOptions(own, asked, target, yield* CurrentAnswerForm)
  })

  const failed = (method: string) => ({ error }: Thrown) => failWith(method, reasonOf(error))

  const streamText = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions) {
    const alive = yield* CurrentModelActivity
    // The scope of the stream closes at its end, on a failure or interruption, and when its reader stops early.
    const abortSignal = yield* Effect.abortSignal
    activities.set(abortSignal, alive)
    const options = yield* optionsOf(asked)
    const { stream } = yield* Effect.tryPromise({
      try: () => model.doStream({ ...options, abortSignal }),
      catch: (error) => new Thrown({ error })
    }).pipe(Effect.mapError(failed("streamText")), Effect.tapError(logFailure))
    const queue = yield* Queue.unbounded<Response.StreamPartEncoded, AiError.AiError | Cause.Done>()
    const isDeclared = ProviderParts.declaredFor(asked)
    const warnings: Array<SharedV4Warning> = []
    const fail = (reason: AiError.AiErrorReason) =>
      void Queue.failCauseUnsafe(queue, Cause.fail(failWith("streamText", reason)))
    const read = (part: LanguageModelV4StreamPart) => {
      alive()
      if (part.type === "error") return fail(reasonOf(part.error))
      const problem = part.type === "finish" ? notAnAnswer(part.finishReason) : undefined
      if (problem !== undefined) return fail(problem)
      if (part.type === "stream-start") warnings.push(...part.warnings)
      const parts = toStreamParts(part, target.model).filter(isDeclared)
      if (parts.length > 0) Queue.offerAllUnsafe(queue, parts)
    }
    // The parts of one network read are handed over as one array. The queue holds no more than one answer.
    const pump = async () => {
      try {
        for await (const part of stream) read(part)
        Queue.endUnsafe(queue)
      } catch (error) {
        fail(reasonOf(error))
      }
    }
    // Owned by the scope of the stream: `abortSignal` ends it.
    void pump()
    return Stream.fromPull(Effect.succeed(
      Effect.tapError(
        Effect.tap(Queue.takeAll(queue), () => warnings.length === 0 ? Effect.void : warn(warnings.splice(0))),
        (error) => Cause.isDone(error) ? Effect.void : logFailure(error)
      )
    ))
  })

  const generateText = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions) {
    const options = yield* optionsOf(asked)
    const { content, warnings, ...end } = yield* Effect.tryPromise({
      try: (abortSignal) => model.doGenerate({ ...options, abortSignal }),
      catch: (error) => new Thrown({ error })
    }).pipe(Effect.mapError(failed("generateText")), Effect.tapError(logFailure))
    yield* warn(warnings)
    const problem = notAnAnswer(end.finishReason)
    if (problem !== undefined) return yield* failWith("generateText", problem)
    return [...content.flatMap((part) => toParts(part, target.model)), finishPart(end)]
  })

  return yield* LanguageModel.make({
    codecTransformer: toCodecOpenAI,
    generateText,
    streamText: (asked) => Stream.unwrap(streamText(asked))
  })
})

/**
 * A model of a provider package, with its name (`Model.ModelName`) and its `CurrentModelLimits`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  model: LanguageModelV4,
  settings: AiSdkSettings = {}
): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effectContext(Effect.map(make(model, settings), (service) => {
    const { answerTokens = settings.maxTokens, contextTokens } = settings
    const { structuredOutput = /^(?:openai|azure)\./.test(model.provider) } = settings
    return Context.make(LanguageModel.LanguageModel, service).pipe(
      Context.add(Model.ModelName, model.modelId),
      Context.add(CurrentModelLimits, { contextTokens, answerTokens }),
      Context.add(CurrentStructuredOutput, structuredOutput ? toCodecOpenAI : undefined)
    )
  }))
