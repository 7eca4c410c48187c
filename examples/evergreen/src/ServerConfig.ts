/**
 * All settings of the server, read from the environment in one place. docs/configuration.md explains each setting.
 *
 * A wrong value stops the start with one line that names the variable, the value and the accepted values. Secrets are
 * `Redacted` and never shown. An empty variable counts as absent.
 */
import * as StoreSetting from "@perennial/backends/StoreSetting"
import { Secret } from "@perennial/domain/Webhook"
import * as ListenConfig from "@perennial/http/ListenConfig"
import * as ModelSetting from "@perennial/runtime/ModelSetting"
import { Duration, Effect, type LogLevel, Option, Redacted, Schema } from "effect"
import * as EngineConfig from "./EngineConfig.ts"
import * as JwtConfig from "./JwtConfig.ts"
import { invalid, InvalidSetting, read, withDefault } from "./Setting.ts"

export interface ServerConfig extends ListenConfig.ListenConfig {
  readonly store: StoreSetting.StoreSetting
  /** The identity provider whose tokens are accepted. */
  readonly jwt: Option.Option<JwtConfig.JwtConfig>
  /** How many active tasks a user may have; `Infinity` is no limit. */
  readonly maxActiveTasks: number
  /** Whether this process executes tasks. If not, it serves, accepts and reads them. */
  readonly execute: boolean
  /** Whether tasks are executed by this process alone, or by a cluster. */
  readonly engine: EngineConfig.EngineConfig
  /** How long the events of a task are kept after its end. None: as long as the task. */
  readonly retention: Option.Option<Duration.Duration>
  readonly log: {
    readonly level: LogLevel.LogLevel
    readonly format: "text" | "json"
  }
  readonly telemetry: {
    /** Whether metrics are made, and served at `/metrics`. */
    readonly metrics: boolean
    /** Where traces, metrics and logs are sent to. None: nowhere. */
    readonly otlp: Option.Option<string>
    /** Headers for that place, such as its key. */
    readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>
    /** The part of the traces that is recorded, from 0 to 1. */
    readonly traceRatio: number
    readonly tracesPerSecond: number
  }
  readonly webhook: {
    /** The address that is told about the tasks of all users. */
    readonly url: Option.Option<string>
    readonly secrets: ReadonlyArray<Redacted.Redacted>
    /** Whether webhooks may have private addresses, and `http://`. */
    readonly allowPrivate: boolean
  }
  readonly model: ModelSetting.ModelSetting
}

/** One line about a store whose setting is valid, but which cannot be used. */
export const unusable = (store: StoreSetting.StoreSetting, why: string): string =>
  `PERENNIAL_STORE=${StoreSetting.format(store)} cannot be used: ${
    why.replace(/\.$/, "")
  }. Accepted: ${StoreSetting.accepted}.`

const store = read("PERENNIAL_STORE", { accepted: StoreSetting.accepted, parse: StoreSetting.parse })

const maxActiveTasks = read("PERENNIAL_MAX_ACTIVE_TASKS", {
  accepted: "a whole number from 1 to 1000000, or unlimited",
  parse: (value) => {
    if (value === "unlimited") return Option.some(Number.POSITIVE_INFINITY)
    return /^[1-9]\d{0,6}$/.test(value) && Number(value) <= 1_000_000 ? Option.some(Number(value)) : Option.none()
  }
})

const execute = read("PERENNIAL_EXECUTE", {
  accepted: "true or false",
  parse: (value) => value === "true" || value === "false" ? Option.some(value === "true") : Option.none()
})

const webhookUrl = read("PERENNIAL_WEBHOOK_URL", {
  accepted: "an https:// address, or an http:// address with PERENNIAL_WEBHOOK_PRIVATE=true",
  parse: Option.liftPredicate((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))
})

const isSecret = Schema.is(Secret.fields.value)

const webhookSecrets = read("PERENNIAL_WEBHOOK_SECRETS", {
  accepted: "secrets separated by commas, each whsec_ and the base64 of 24 to 64 bytes",
  secret: true,
  parse: (value) => {
    const secrets = value.split(",").map((secret) => secret.trim())
    return secrets.every(isSecret)
      ? Option.some(secrets.map((secret) => Redacted.make(secret, { label: "secret" })))
      : Option.none()
  }
})

const webhookPrivate = read("PERENNIAL_WEBHOOK_PRIVATE", {
  accepted: "true or false",
  parse: (value) => value === "true" || value === "false" ? Option.some(value === "true") : Option.none()
})

const webhook = Effect.gen(function*() {
  const url = yield* webhookUrl
  const secrets = yield* withDefault(webhookSecrets, [])
  const allowPrivate = yield* withDefault(webhookPrivate, false)
  if (Option.isSome(url) && !allowPrivate && !url.value.startsWith("https:")) {
    return yield* invalid(
      "PERENNIAL_WEBHOOK_URL",
      url.value,
      "an https:// address, unless PERENNIAL_WEBHOOK_PRIVATE=true"
    )
  }
  if (Option.isSome(url) && secrets.length === 0) {
    return yield* new InvalidSetting({
      message: "PERENNIAL_WEBHOOK_URL needs PERENNIAL_WEBHOOK_SECRETS: receivers know the server by its signatures."
    })
  }
  return { url, secrets, allowPrivate }
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

const levels = new Map<string, LogLevel.LogLevel>([
  ["debug", "Debug"],
  ["info", "Info"],
  ["warn", "Warn"],
  ["error", "Error"],
  ["none", "None"]
])

const logLevel = read("PERENNIAL_LOG_LEVEL", {
  accepted: [...levels.keys()].join(", "),
  parse: (value) => Option.fromUndefinedOr(levels.get(value.toLowerCase()))
})

const logFormat = read("PERENNIAL_LOG_FORMAT", {
  accepted: "text, json",
  parse: (value): Option.Option<"text" | "json"> =>
    value === "text" || value === "json" ? Option.some(value) : Option.none()
})

const listen = (hasProvider: boolean) =>
  Effect.mapError(
    ListenConfig.configWith({ hasProvider }),
    (error) => new InvalidSetting({ message: error.cause.message })
  )

const metrics = read("PERENNIAL_METRICS", {
  accepted: "true or false",
  parse: (value) => value === "true" || value === "false" ? Option.some(value === "true") : Option.none()
})

const otlp = read("PERENNIAL_OTLP", {
  accepted: "the http:// or https:// address of an OpenTelemetry collector, such as http://127.0.0.1:4318",
  parse: Option.liftPredicate((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))
})

const otlpHeaders = read("PERENNIAL_OTLP_HEADERS", {
  accepted: "pairs of <header>=<value>, separated by commas",
  secret: true,
  parse: (value) => {
    const pairs = value.split(",").map((pair) => /^\s*([\w-]+)=(\S.*?)\s*$/.exec(pair)?.slice(1) ?? [])
    return pairs.every((pair) => pair.length === 2)
      ? Option.some(Redacted.make<Readonly<Record<string, string>>>(Object.fromEntries(pairs), { label: "headers" }))
      : Option.none()
  }
})

const traceRatio = read("PERENNIAL_TRACE_RATIO", {
  accepted: "a number from 0 (no trace) to 1 (every trace), such as 0.1",
  parse: (value) => /^(?:0(?:\.\d+)?|1(?:\.0+)?)$/.test(value) ? Option.some(Number(value)) : Option.none()
})

const tracesPerSecond = read("PERENNIAL_TRACES_PER_SECOND", {
  accepted: "a whole number from 1 to 1000000",
  parse: (value) => /^[1-9]\d{0,5}$|^1000000$/.test(value) ? Option.some(Number(value)) : Option.none()
})

/** Reads the environment. */
export const load: Effect.Effect<ServerConfig, InvalidSetting> = Effect.gen(function*() {
  const jwt = yield* JwtConfig.load
  const where = yield* withDefault(store, { type: "sqlite", path: ".perennial/perennial.db" })
  const executes = yield* withDefault(execute, true)
  return {
    ...(yield* listen(Option.isSome(jwt))),
    jwt,
    store: where,
    maxActiveTasks: yield* withDefault(maxActiveTasks, 1_000),
    execute: executes,
    engine: yield* EngineConfig.load({ store: where, execute: executes }),
    retention: yield* withDefault(retention, Option.some(Duration.days(30))),
    webhook: yield* webhook,
    log: { level: yield* withDefault(logLevel, "Info"), format: yield* withDefault(logFormat, "text") },
    telemetry: {
      metrics: yield* withDefault(metrics, true),
      otlp: yield* otlp,
      headers: yield* withDefault(otlpHeaders, Redacted.make({})),
      traceRatio: yield* withDefault(traceRatio, 1),
      tracesPerSecond: yield* withDefault(tracesPerSecond, 50)
    },
    model: yield* Effect.mapError(ModelSetting.load, ({ message }) => new InvalidSetting({ message }))
  }
})
