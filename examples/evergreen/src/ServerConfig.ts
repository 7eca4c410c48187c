/**
 * Everything that can be configured, read from the environment in one place. docs/configuration.md explains each.
 *
 * A wrong value stops the start with one line that names the variable, the value and what is accepted. Secrets are
 * `Redacted` and never shown. An empty variable counts as absent.
 */
import * as Tokens from "@perennial/http/Tokens"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { Config, Effect, Option, Redacted, Schema } from "effect"

/** One line for the person who starts the server. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  message: Schema.String
}) {}

const invalid = (variable: string, value: string, accepted: string) =>
  // An address may hold a password.
  new InvalidSetting({
    message: `${variable}=${value.replace(/:\/\/.*@/, "://<hidden>@")} is not valid. Accepted: ${accepted}.`
  })

export type StoreSetting =
  | { readonly type: "memory" }
  | { readonly type: "sqlite"; readonly path: string }
  | { readonly type: "postgres" | "redis"; readonly url: Redacted.Redacted }

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly store: StoreSetting
  /** Empty: everybody who reaches the loopback interface is the one local user. */
  readonly tokens: ReadonlyArray<Tokens.Token>
  readonly model: {
    readonly name: string
    /** Without it the scripted demo model answers. */
    readonly apiKey: Option.Option<Redacted.Redacted<string>>
    readonly baseUrl: Option.Option<string>
  }
}

const read = Effect.fnUntraced(function*<A>(variable: string, options: {
  readonly accepted: string
  readonly parse: (value: string) => Option.Option<A>
  readonly secret?: boolean
}) {
  // The environment can always be read, and every string is a string.
  const found = yield* Effect.orDie(Config.option(Config.String(variable)))
  const value = Option.getOrElse(found, () => "").trim()
  const parsed = value === "" ? Option.none<A>() : options.parse(value)
  if (value === "" || Option.isSome(parsed)) return parsed
  // An address may carry a password, also one that is not valid.
  const shown = options.secret === true ? "<hidden>" : value.replace(/\/\/.*@/s, "//<hidden>@")
  return yield* invalid(variable, shown, options.accepted)
})

const withDefault = <A, E>(setting: Effect.Effect<Option.Option<A>, E>, value: A): Effect.Effect<A, E> =>
  Effect.map(setting, Option.getOrElse(() => value))

const port = read("PORT", {
  accepted: "a whole number from 0 (any free port) to 65535",
  parse: (value) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Option.some(Number(value)) : Option.none()
})

const host = read("HOST", {
  accepted: "a host name or address to listen on, such as 127.0.0.1 or 0.0.0.0",
  parse: Option.liftPredicate((value) => /^[\w.:-]+$/.test(value))
})

const store = read("PERENNIAL_STORE", {
  accepted: "memory, sqlite:<path> such as sqlite:.perennial/perennial.db, "
    + "postgres://<user>:<password>@<host>/<database>, or redis://<host>:<port>",
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

const tokens = Tokens.config().pipe(
  Effect.map(Option.getOrElse((): ReadonlyArray<Tokens.Token> => [])),
  Effect.mapError((error) => new InvalidSetting({ message: error.cause.message }))
)

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

/** Whether only programs of this machine can reach an address. */
const isLoopback = (address: string): boolean =>
  address === "localhost" || address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address)

/** Reads the environment. */
export const load: Effect.Effect<ServerConfig, InvalidSetting> = Effect.gen(function*() {
  const config: ServerConfig = {
    host: yield* withDefault(host, "127.0.0.1"),
    port: yield* withDefault(port, 3000),
    store: yield* withDefault(store, { type: "sqlite", path: ".perennial/perennial.db" }),
    tokens: yield* tokens,
    model: {
      name: yield* withDefault(modelName, AnthropicModel.defaultModel),
      apiKey: yield* apiKey,
      baseUrl: yield* baseUrl
    }
  }
  if (config.tokens.length === 0 && !isLoopback(config.host)) {
    return yield* invalid("HOST", config.host, "a loopback address such as 127.0.0.1, unless PERENNIAL_TOKENS is set")
  }
  return config
})
