/**
 * The model of a server, from environment variables: `PERENNIAL_MODEL`, such as `claude-opus-5-5` or `openai:gpt-5.5`, its
 * fallbacks, and the keys and addresses of the providers. `perennial serve` and the example server read them.
 *
 * The package of a provider is loaded only if a model needs it.
 *
 * @since 0.1.0
 */
import { Config, Data, Effect, type FileSystem, type Layer, Option, Redacted } from "effect"
import type { LanguageModel } from "effect/ai"
import * as ConversationTitle from "./ConversationTitle.ts"
import * as DemoModel from "./DemoModel.ts"
import { type Connection, layerOf, type ModelName, type Provider, scripted } from "./internal/modelSetting/layers.ts"

/** The providers of models, and whether each needs a key. */
const providers: Readonly<
  Record<Provider, { readonly key: string; readonly url: string; readonly needsKey: boolean }>
> = {
  anthropic: { key: "ANTHROPIC_API_KEY", url: "ANTHROPIC_BASE_URL", needsKey: true },
  openai: { key: "OPENAI_API_KEY", url: "OPENAI_BASE_URL", needsKey: true },
  google: { key: "GOOGLE_GENERATIVE_AI_API_KEY", url: "GOOGLE_GENERATIVE_AI_BASE_URL", needsKey: true },
  ollama: { key: "OLLAMA_API_KEY", url: "OLLAMA_BASE_URL", needsKey: false }
}

/**
 * A provider that `PERENNIAL_MODEL` can name, a model of it, and how to reach it.
 *
 * @since 0.1.0
 * @category models
 */
export type { Connection, ModelName, Provider }

/**
 * The model of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSetting {
  readonly model: ModelName
  /** The models that are asked when `model` cannot answer. */
  readonly fallbacks: ReadonlyArray<ModelName>
  readonly connections: Readonly<Record<Provider, Connection>>
  /** A file with answers that replace every model (`ModelScript`). */
  readonly script: Option.Option<string>
}

/**
 * A variable is not valid, a key is missing, or a package is not installed. The message is one line for the person who starts
 * the server, and says what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidModelSetting extends Data.TaggedError("InvalidModelSetting")<{ readonly message: string }> {}

/** The default model: the newest Claude that this version knows. */
const defaultModel = "claude-opus-5-5"

const accepted = `the name of a Claude model such as ${defaultModel}, or openai:<model>, google:<model>, ollama:<model>`

const isProvider = (name: string): name is Provider => Object.hasOwn(providers, name)

/** `<provider>:<name>`, or the name of a Claude model. */
const parseModel = (variable: string) => (value: string): Option.Option<ModelName> => {
  const [, provider = "anthropic", name = ""] = /^(?:([a-z-]+):)?(\S{1,200})$/.exec(value) ?? []
  return name !== "" && isProvider(provider)
    ? Option.some({ provider, name, setting: `${variable}=${value}` })
    : Option.none()
}

/** An address without its password. */
const shown = (value: string): string => value.replace(/\/\/.*@/s, "//<hidden>@")

/** Reads a variable. An empty variable counts as absent. The message about a `secret` does not show its value. */
const read = Effect.fnUntraced(function*<A>(variable: string, options: {
  readonly accepted: string
  readonly parse: (value: string) => Option.Option<A>
  readonly secret?: boolean
}) {
  // Reading a string from the environment cannot fail.
  const value = (yield* Effect.orDie(Config.withDefault(Config.String(variable), ""))).trim()
  const parsed = value === "" ? Option.none<A>() : options.parse(value)
  if (value === "" || Option.isSome(parsed)) return parsed
  return yield* new InvalidModelSetting({
    message: `${variable}=${
      options.secret === true ? "<hidden>" : shown(value)
    } is not valid. Accepted: ${options.accepted}.`
  })
})

const connection = Effect.fnUntraced(function*(provider: Provider) {
  const { key, url } = providers[provider]
  return {
    apiKey: yield* read(key, {
      accepted: "an API key, without spaces",
      secret: true,
      parse: (value) => /^\S+$/.test(value) ? Option.some(Redacted.make(value, { label: "key" })) : Option.none()
    }),
    baseUrl: yield* read(url, {
      accepted: "an http:// or https:// address",
      parse: (value) => {
        if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) return Option.none()
        // Providers add a path that begins with a slash.
        return Option.some(value.replace(/\/+$/, ""))
      }
    })
  }
})

/**
 * Whether the scripted demo answers: the model is Claude, and there is no key.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDemo = ({ connections, model }: ModelSetting): boolean =>
  model.provider === "anthropic" && Option.isNone(connections.anthropic.apiKey)

/**
 * Reads the environment: `PERENNIAL_MODEL`, `PERENNIAL_FALLBACK_MODELS`, `PERENNIAL_SCRIPT`, and the key and the address of each
 * provider.
 *
 * @since 0.1.0
 * @category config
 */
export const load: Effect.Effect<ModelSetting, InvalidModelSetting> = Effect.gen(function*() {
  const setting: ModelSetting = {
    model: Option.getOrElse(
      yield* read("PERENNIAL_MODEL", { accepted, parse: parseModel("PERENNIAL_MODEL") }),
      () => ({ provider: "anthropic", name: defaultModel, setting: `PERENNIAL_MODEL=${defaultModel}` })
    ),
    fallbacks: Option.getOrElse(
      yield* read("PERENNIAL_FALLBACK_MODELS", {
        accepted: `models separated by commas, each ${accepted}`,
        parse: (value) =>
          Option.all(value.split(",").map((name) => parseModel("PERENNIAL_FALLBACK_MODELS")(name.trim())))
      }),
      () => []
    ),
    connections: {
      anthropic: yield* connection("anthropic"),
      openai: yield* connection("openai"),
      google: yield* connection("google"),
      ollama: yield* connection("ollama")
    },
    script: yield* read("PERENNIAL_SCRIPT", { accepted: "a file", parse: Option.some })
  }
  if (isDemo(setting) || Option.isSome(setting.script)) return setting
  for (const { provider, setting: written } of [setting.model, ...setting.fallbacks]) {
    const { key, needsKey } = providers[provider]
    if (needsKey && Option.isNone(setting.connections[provider].apiKey)) {
      return yield* new InvalidModelSetting({ message: `${written} needs ${key}.` })
    }
  }
  return setting
})

type Model = Layer.Layer<
  LanguageModel.LanguageModel,
  InvalidModelSetting | Layer.Error<ReturnType<typeof scripted>>,
  FileSystem.FileSystem
>

/**
 * The options of an agent that are about its model. The `FileSystem` is for the file of `PERENNIAL_SCRIPT`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentModels {
  readonly model: Model
  readonly fallbacks?: ReadonlyArray<Model>
  readonly titles?: ConversationTitle.TitleMaker
}

/**
 * The models of a setting, for `LlmAgent`. A conversation is called after its first message (`ConversationTitle.fromFirstMessage`),
 * unless a script answers. If the package of a provider is not installed, the layer fails with
 * `InvalidModelSetting`.
 *
 * @since 0.1.0
 * @category layers
 */
export const models = (setting: ModelSetting): AgentModels => {
  const { connections, fallbacks, model, script } = setting
  if (Option.isSome(script)) return { model: scripted(script.value) }
  if (isDemo(setting)) return { model: DemoModel.layer, titles: ConversationTitle.fromFirstMessage }
  const of = (model: ModelName) =>
    layerOf(model, connections[model.provider], (message) => new InvalidModelSetting({ message }))
  return { model: of(model), fallbacks: fallbacks.map(of), titles: ConversationTitle.fromFirstMessage }
}

/**
 * A sentence for the person who starts the server, if no language model answers.
 *
 * @since 0.1.0
 * @category formatting
 */
export const notice = (setting: ModelSetting): Option.Option<string> => {
  if (Option.isSome(setting.script)) {
    return Option.some(`The script ${setting.script.value} answers instead of a language model.`)
  }
  return isDemo(setting)
    ? Option.some("ANTHROPIC_API_KEY is not set: a scripted demo answers instead of a language model.")
    : Option.none()
}
