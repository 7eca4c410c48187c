/**
 * All settings of the server, read from the environment in one place. docs/configuration.md explains each setting.
 *
 * A wrong value stops the start with one line that names the variable, the value and the accepted values. Secrets are
 * `Redacted` and never shown. An empty variable counts as absent.
 */
import * as ListenConfig from "@perennial/http/ListenConfig"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { Config, Duration, Effect, Option, Redacted, Schema } from "effect"

/** A setting is not valid. The message is one line for the person who starts the server. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  message: Schema.String
}) {}

/** An address may contain a password, even if the address is not valid. */
const withoutPassword = (value: string) => value.replace(/\/\/.*@/s, "//<hidden>@")

const invalid = (variable: string, value: string, accepted: string) =>
  new InvalidSetting({ message: `${variable}=${withoutPassword(value)} is not valid. Accepted: ${accepted}.` })

export type StoreSetting =
  | { readonly type: "memory" }
  | { readonly type: "sqlite"; readonly path: string }
  | { readonly type: "postgres" | "redis"; readonly url: Redacted.Redacted }

export interface ServerConfig extends ListenConfig.ListenConfig {
  readonly store: StoreSetting
  /** How long the events of a task are kept after its end. None: as long as the task. */
  readonly retention: Option.Option<Duration.Duration>
  readonly model: {
    readonly name: string
    /** The models that are asked when `name` cannot answer. */
    readonly fallbacks: ReadonlyArray<string>
    /** Without it the scripted demo model answers. */
    readonly apiKey: Option.Option<Redacted.Redacted<string>>
    readonly baseUrl: Option.Option<string>
    /** A file with answers that replace every model. */
    readonly script: Option.Option<string>
  }
}

const read = Effect.fnUntraced(function*<A>(variable: string, options: {
  readonly accepted: string
  readonly parse: (value: string) => Option.Option<A>
  readonly secret?: boolean
}) {
  // Reading a string from the environment cannot fail.
  const found = yield* Effect.orDie(Config.option(Config.String(variable)))
  const value = Option.getOrElse(found, () => "").trim()
  const parsed = value === "" ? Option.none<A>() : options.parse(value)
  if (value === "" || Option.isSome(parsed)) return parsed
  return yield* invalid(variable, options.secret === true ? "<hidden>" : value, options.accepted)
})

const withDefault = <A, E>(setting: Effect.Effect<Option.Option<A>, E>, value: A): Effect.Effect<A, E> =>
  Effect.map(setting, Option.getOrElse(() => value))

const acceptedStores = "memory, sqlite:<path> such as sqlite:.perennial/perennial.db, "
  + "postgres://<user>:<password>@<host>/<database>, or redis://<host>:<port>"

const valueOf = (store: StoreSetting): string => {
  if (store.type === "memory") return store.type
  return store.type === "sqlite" ? `sqlite:${store.path}` : withoutPassword(Redacted.value(store.url))
}

/** One line about a store whose setting is valid, but which cannot be used. */
export const unusable = (store: StoreSetting, why: string): string =>
  `PERENNIAL_STORE=${valueOf(store)} cannot be used: ${why.replace(/\.$/, "")}. Accepted: ${acceptedStores}.`

const store = read("PERENNIAL_STORE", {
  accepted: acceptedStores,
  parse: (value): Option.Option<StoreSetting> => {
    if (value === "memory") return Option.some({ type: "memory" })
    if (/^rediss?:\/\/\S+$/.test(value) && URL.canParse(value)) {
      return Option.some({ type: "redis", url: Redacted.make(value, { label: "redis" }) })
    }
    if (/^postgres(?:ql)?:\/\/\S+$/.test(value) && URL.canParse(value)) {
      return Option.some({ type: "postgres", url: Redacted.make(value, { label: "postgres" }) })
    }
    const path = value.startsWith("sqlite:") ? value.slice("sqlite:".length) : ""
    return path === "" ? Option.none() : Option.some({ type: "sqlite", path })
  }
})

const units = new Map([
  ["day", Duration.days],
  ["hour", Duration.hours],
  ["minute", Duration.minutes],
  ["second", Duration.seconds]
])

const retention = read("PERENNIAL_RETENTION", {
  accepted: "a whole number of days, hours, minutes or seconds, such as 30 days, or never",
  parse: (value): Option.Option<Option.Option<Duration.Duration>> => {
    if (value === "never") return Option.some(Option.none())
    const [, count, unit = ""] = /^([1-9]\d{0,5}) ([a-z]+?)s?$/.exec(value) ?? []
    const duration = units.get(unit)
    return duration === undefined ? Option.none() : Option.some(Option.some(duration(Number(count))))
  }
})

const listen = Effect.mapError(ListenConfig.config, (error) => new InvalidSetting({ message: error.cause.message }))

const apiKey = read("ANTHROPIC_API_KEY", {
  accepted: "an Anthropic API key, without spaces",
  secret: true,
  parse: (value) => /^\S+$/.test(value) ? Option.some(Redacted.make(value, { label: "key" })) : Option.none()
})

const baseUrl = read("ANTHROPIC_BASE_URL", {
  accepted: "an http:// or https:// address",
  parse: (value) => {
    if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) return Option.none()
    // The SDK adds a path that begins with a slash.
    return Option.some(value.replace(/\/+$/, ""))
  }
})

const modelName = read("PERENNIAL_MODEL", {
  accepted: `the name of a model, such as ${AnthropicModel.defaultModel}`,
  parse: Option.liftPredicate((value) => /^\S{1,200}$/.test(value))
})

const fallbacks = read("PERENNIAL_FALLBACK_MODELS", {
  accepted: "names of models, separated by commas",
  parse: (value) => {
    const names = value.split(",").map((name) => name.trim())
    return names.every((name) => /^\S{1,200}$/.test(name)) ? Option.some(names) : Option.none()
  }
})

const script = read("PERENNIAL_SCRIPT", { accepted: "a file", parse: Option.some })

/** Reads the environment. */
export const load: Effect.Effect<ServerConfig, InvalidSetting> = Effect.gen(function*() {
  return {
    ...(yield* listen),
    store: yield* withDefault(store, { type: "sqlite", path: ".perennial/perennial.db" }),
    retention: yield* withDefault(retention, Option.some(Duration.days(30))),
    model: {
      name: yield* withDefault(modelName, AnthropicModel.defaultModel),
      fallbacks: yield* withDefault(fallbacks, []),
      script: yield* script,
      apiKey: yield* apiKey,
      baseUrl: yield* baseUrl
    }
  }
})
