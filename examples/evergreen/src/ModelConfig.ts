/** The settings of the language model. */
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { Effect, Option, Redacted } from "effect"
import { InvalidSetting, read, withDefault } from "./Setting.ts"

/** The providers of models, and whether each needs a key. */
const providers = {
  anthropic: { key: "ANTHROPIC_API_KEY", url: "ANTHROPIC_BASE_URL", needsKey: true },
  openai: { key: "OPENAI_API_KEY", url: "OPENAI_BASE_URL", needsKey: true },
  google: { key: "GOOGLE_GENERATIVE_AI_API_KEY", url: "GOOGLE_GENERATIVE_AI_BASE_URL", needsKey: true },
  ollama: { key: "OLLAMA_API_KEY", url: "OLLAMA_BASE_URL", needsKey: false }
} as const

export type Provider = keyof typeof providers

/** A model of a provider. */
export interface ModelSetting {
  readonly provider: Provider
  readonly name: string
  /** As a person wrote it, with its variable. */
  readonly setting: string
}

export interface Connection {
  readonly apiKey: Option.Option<Redacted.Redacted>
  readonly baseUrl: Option.Option<string>
}

export interface ModelConfig {
  readonly model: ModelSetting
  /** The models that are asked when `model` cannot answer. */
  readonly fallbacks: ReadonlyArray<ModelSetting>
  readonly connections: Readonly<Record<Provider, Connection>>
  /** A file with answers that replace every model. */
  readonly script: Option.Option<string>
}

/** Whether the scripted demo answers: the model is Claude, and there is no key. */
export const isDemo = ({ connections, model }: ModelConfig): boolean =>
  model.provider === "anthropic" && Option.isNone(connections.anthropic.apiKey)

const isProvider = (name: string): name is Provider => Object.hasOwn(providers, name)

/** `<provider>:<name>`, or the name of a Claude model. */
const parseModel = (variable: string) => (value: string): Option.Option<ModelSetting> => {
  const [, provider = "anthropic", name = ""] = /^(?:([a-z-]+):)?(\S{1,200})$/.exec(value) ?? []
  return name !== "" && isProvider(provider)
    ? Option.some({ provider, name, setting: `${variable}=${value}` })
    : Option.none()
}

const accepted =
  `the name of a Claude model such as ${AnthropicModel.defaultModel}, or openai:<model>, google:<model>, ollama:<model>`

const claude: ModelSetting = {
  provider: "anthropic",
  name: AnthropicModel.defaultModel,
  setting: `PERENNIAL_MODEL=${AnthropicModel.defaultModel}`
}

const model = read("PERENNIAL_MODEL", { accepted, parse: parseModel("PERENNIAL_MODEL") })

const fallbacks = read("PERENNIAL_FALLBACK_MODELS", {
  accepted: `models separated by commas, each ${accepted}`,
  parse: (value) => Option.all(value.split(",").map((name) => parseModel("PERENNIAL_FALLBACK_MODELS")(name.trim())))
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

/** Reads the environment. */
export const load: Effect.Effect<ModelConfig, InvalidSetting> = Effect.gen(function*() {
  const config: ModelConfig = {
    model: yield* withDefault(model, claude),
    fallbacks: yield* withDefault(fallbacks, []),
    connections: {
      anthropic: yield* connection("anthropic"),
      openai: yield* connection("openai"),
      google: yield* connection("google"),
      ollama: yield* connection("ollama")
    },
    script: yield* read("PERENNIAL_SCRIPT", { accepted: "a file", parse: Option.some })
  }
  if (isDemo(config) || Option.isSome(config.script)) return config
  for (const { provider, setting } of [config.model, ...config.fallbacks]) {
    const { key, needsKey } = providers[provider]
    if (needsKey && Option.isNone(config.connections[provider].apiKey)) {
      return yield* new InvalidSetting({ message: `${setting} needs ${key}.` })
    }
  }
  return config
})
