/**
 * Everything that can be configured, read from the environment in one place. docs/configuration.md explains each.
 *
 * A wrong value stops the start with one line that names the variable, the value and what is accepted. Secrets are
 * `Redacted` and never shown. An empty variable counts as absent.
 */
import { UserId } from "@perennial/domain/Ids"
import { Config, Effect, Option, Redacted, Schema } from "effect"

export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  variable: Schema.String,
  /** What was found, fit to be shown. */
  value: Schema.String,
  accepted: Schema.String
}) {
  override get message() {
    return `${this.variable}=${this.value} is not valid. Accepted: ${this.accepted}.`
  }
}

export type StoreSetting =
  | { readonly type: "memory" }
  | { readonly type: "sqlite"; readonly path: string }

/** A user and the secret that proves it. */
export interface Token {
  readonly userId: UserId
  readonly secret: Redacted.Redacted<string>
}

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly store: StoreSetting
  /** Empty: everybody who reaches the loopback interface is the one local user. */
  readonly tokens: ReadonlyArray<Token>
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
  return yield* new InvalidSetting({
    variable,
    value: options.secret === true ? "<hidden>" : value,
    accepted: options.accepted
  })
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
  accepted: "memory, or sqlite:<path> such as sqlite:.perennial/perennial.db",
  parse: (value): Option.Option<StoreSetting> => {
    if (value === "memory") return Option.some({ type: "memory" })
    const path = value.startsWith("sqlite:") ? value.slice("sqlite:".length) : ""
    return path === "" ? Option.none() : Option.some({ type: "sqlite", path })
  }
})

const tokens = read("PERENNIAL_TOKENS", {
  accepted: "<user>:<secret> pairs, separated by commas, each secret once; a secret has no comma and no space",
  secret: true,
  parse: (value) => {
    const pairs = value.split(",").map((pair) => /^\s*([^:\s]{1,100}):(\S+)\s*$/.exec(pair))
    const secrets = new Set(pairs.map((pair) => pair?.[2]))
    if (secrets.has(undefined) || secrets.size < pairs.length) return Option.none()
    return Option.some(pairs.map((pair): Token => ({
      userId: UserId.make(pair?.[1] ?? ""),
      secret: Redacted.make(pair?.[2] ?? "", { label: "token" })
    })))
  }
})

const apiKey = read("ANTHROPIC_API_KEY", {
  accepted: "an Anthropic API key, without spaces",
  secret: true,
  parse: (value) => /^\S+$/.test(value) ? Option.some(Redacted.make(value, { label: "key" })) : Option.none()
})

const baseUrl = read("ANTHROPIC_BASE_URL", {
  accepted: "an http:// or https:// address",
  parse: Option.liftPredicate((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))
})

const modelName = read("PERENNIAL_MODEL", {
  accepted: "the name of a model, such as claude-opus-5-5",
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
    tokens: yield* withDefault(tokens, []),
    model: {
      name: yield* withDefault(modelName, "claude-opus-5-5"),
      apiKey: yield* apiKey,
      baseUrl: yield* baseUrl
    }
  }
  if (config.tokens.length === 0 && !isLoopback(config.host)) {
    return yield* new InvalidSetting({
      variable: "HOST",
      value: config.host,
      accepted: "a loopback address such as 127.0.0.1 as long as PERENNIAL_TOKENS is not set"
    })
  }
  return config
})
