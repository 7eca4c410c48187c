/** The models of a setting as layers. The package of a provider is loaded when the layer is built. */
import { Effect, FileSystem, Layer, Option, Redacted } from "effect"
import type { LanguageModel } from "effect/ai"
import * as ModelScript from "../../ModelScript.ts"

export type Provider = "anthropic" | "openai" | "google" | "ollama"

/** A model of a provider. `ollama` is every server of chat completions. */
export interface ModelName {
  readonly provider: Provider
  readonly name: string
  /** As a person wrote it, with its variable. */
  readonly setting: string
}

/** How to reach a provider. */
export interface Connection {
  readonly apiKey: Option.Option<Redacted.Redacted>
  readonly baseUrl: Option.Option<string>
}

/** The answers of a file. */
export const scripted = (path: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    return ModelScript.layer(yield* files.readFileString(path))
  }))

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

/** A model of a provider package, which is loaded now. */
const loaded = <Package, Invalid>(
  { setting }: ModelName,
  name: string,
  invalid: (message: string) => Invalid,
  load: () => Promise<Package>,
  make: (loaded: Package) => Layer.Layer<LanguageModel.LanguageModel>
): Layer.Layer<LanguageModel.LanguageModel, Invalid> =>
  Layer.unwrap(Effect.map(
    Effect.catch(
      Effect.tryPromise({ try: load, catch: (cause) => ({ cause }) }),
      ({ cause }) =>
        isMissing(cause)
          ? Effect.fail(invalid(`${setting} needs the package ${name}: pnpm add ${name}`))
          : Effect.die(cause)
    ),
    make
  ))

const withAiSdk = <Package>(load: () => Promise<Package>) => () =>
  Promise.all([load(), import("../../AiSdkModel.ts")]).then(([loaded, AiSdkModel]) => ({ loaded, AiSdkModel }))

/** `invalid` makes the error for a package that is not installed. */
export const layerOf = <Invalid>(
  model: ModelName,
  connection: Connection,
  invalid: (message: string) => Invalid
): Layer.Layer<LanguageModel.LanguageModel, Invalid> => {
  const apiKey = Option.getOrElse(connection.apiKey, () => Redacted.make(""))
  const baseUrl = Option.getOrUndefined(connection.baseUrl)
  const options = {
    apiKey: Redacted.value(apiKey),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl })
  }
  switch (model.provider) {
    case "anthropic":
      return loaded(
        model,
        "@anthropic-ai/sdk",
        invalid,
        () => import("../../AnthropicModel.ts"),
        (AnthropicModel) => AnthropicModel.layer({ apiKey, baseUrl, model: model.name })
      )
    case "openai":
      return loaded(
        model,
        "@ai-sdk/openai",
        invalid,
        withAiSdk(() => import("@ai-sdk/openai")),
        ({ AiSdkModel: { fetch, layer }, loaded: { createOpenAI } }) =>
          layer(createOpenAI({ ...options, fetch })(model.name))
      )
    case "google":
      return loaded(
        model,
        "@ai-sdk/google",
        invalid,
        withAiSdk(() => import("@ai-sdk/google")),
        ({ AiSdkModel: { fetch, layer }, loaded: { createGoogle } }) =>
          layer(createGoogle({ ...options, fetch })(model.name))
      )
    case "ollama":
      return loaded(
        model,
        "@ai-sdk/openai-compatible",
        invalid,
        withAiSdk(() => import("@ai-sdk/openai-compatible")),
        ({ AiSdkModel: { fetch, layer }, loaded: { createOpenAICompatible } }) => {
          const ollama = { name: "ollama", includeUsage: true, baseURL: "http://127.0.0.1:11434/v1", ...options, fetch }
          return layer(createOpenAICompatible(ollama)(model.name))
        }
      )
  }
}
