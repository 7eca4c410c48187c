/**
 * The language model of the agent: a model of a provider, the answers of a file, or a demo that needs no key. The packages of
 * providers other than Anthropic are optional: each is loaded if a model needs it.
 */
import { NodeServices } from "@effect/platform-node"
import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as DemoModel from "@perennial/runtime/DemoModel"
import * as ModelScript from "@perennial/runtime/ModelScript"
import { Data, Effect, FileSystem, Layer, Option, Redacted } from "effect"
import type { LanguageModel } from "effect/ai"
import { type Connection, isDemo, type ModelConfig, type ModelSetting } from "./ModelConfig.ts"

/** The package of a provider is not installed. The message is one line for the person who starts the server. */
class PackageMissing extends Data.TaggedError("PackageMissing")<{ readonly message: string }> {}

const scripted = (path: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    return ModelScript.layer(yield* files.readFileString(path))
  })).pipe(Layer.provide(NodeServices.layer))

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

/** A model of a provider package, which is loaded now. */
const loaded = <Package>(
  { setting }: ModelSetting,
  name: string,
  load: () => Promise<Package>,
  make: (loaded: Package) => Layer.Layer<LanguageModel.LanguageModel>
): Layer.Layer<LanguageModel.LanguageModel, PackageMissing> =>
  Layer.unwrap(Effect.map(
    Effect.catch(
      Effect.tryPromise({ try: load, catch: (cause) => ({ cause }) }),
      ({ cause }) =>
        isMissing(cause)
          ? Effect.fail(new PackageMissing({ message: `${setting} needs the package ${name}: pnpm add ${name}` }))
          : Effect.die(cause)
    ),
    make
  ))

const modelOf = (
  model: ModelSetting,
  connection: Connection
): Layer.Layer<LanguageModel.LanguageModel, PackageMissing> => {
  const apiKey = Option.getOrElse(connection.apiKey, () => Redacted.make(""))
  const baseUrl = Option.getOrUndefined(connection.baseUrl)
  const options = {
    apiKey: Redacted.value(apiKey),
    fetch: AiSdkModel.fetch,
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl })
  }
  switch (model.provider) {
    case "anthropic":
      return AnthropicModel.layer({ apiKey, baseUrl, model: model.name })
    case "openai":
      return loaded(
        model,
        "@ai-sdk/openai",
        () => import("@ai-sdk/openai"),
        ({ createOpenAI }) => AiSdkModel.layer(createOpenAI(options)(model.name))
      )
    case "google":
      return loaded(
        model,
        "@ai-sdk/google",
        () => import("@ai-sdk/google"),
        ({ createGoogle }) => AiSdkModel.layer(createGoogle(options)(model.name))
      )
    case "ollama":
      return loaded(
        model,
        "@ai-sdk/openai-compatible",
        () => import("@ai-sdk/openai-compatible"),
        ({ createOpenAICompatible }) => {
          const ollama = { name: "ollama", includeUsage: true, baseURL: "http://127.0.0.1:11434/v1", ...options }
          return AiSdkModel.layer(createOpenAICompatible(ollama)(model.name))
        }
      )
  }
}

/** A model, and why it may not be there. */
type Model = Layer.Layer<LanguageModel.LanguageModel, PackageMissing | Layer.Error<ReturnType<typeof scripted>>>

/** The options of the agent that are about its model. */
interface AgentModels {
  readonly model: Model
  readonly fallbacks?: ReadonlyArray<Model>
  readonly titles?: typeof DemoModel.titles
}

export const of = (config: ModelConfig): AgentModels => {
  const { connections, fallbacks, model, script } = config
  if (Option.isSome(script)) return { model: scripted(script.value) }
  if (isDemo(config)) return { model: DemoModel.layer, titles: DemoModel.titles }
  const layerOf = (model: ModelSetting) => modelOf(model, connections[model.provider])
  return { model: layerOf(model), fallbacks: fallbacks.map(layerOf) }
}

/** A sentence for the person who starts the server, if no language model answers. */
export const notice = (config: ModelConfig): Option.Option<string> => {
  if (Option.isSome(config.script)) {
    return Option.some(`The script ${config.script.value} answers instead of a language model.`)
  }
  return isDemo(config)
    ? Option.some("ANTHROPIC_API_KEY is not set: a scripted demo answers instead of a language model.")
    : Option.none()
}
