/**
 * The settings of a server that come from the environment: the address to listen on, the public URL, the bound on event
 * streams, the faces, the tokens.
 *
 * @since 0.1.0
 */
import { Config, Effect, Option, Redacted, Schema, SchemaIssue } from "effect"
import * as Faces from "./Faces.ts"
import { isLoopback } from "./internal/origin.ts"
import * as Tokens from "./Tokens.ts"

/**
 * The settings.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListenConfig {
  readonly host: string
  readonly port: number
  /** The URL at which clients reach the server, if it is not the address that they connect to. */
  readonly publicUrl: string | undefined
  /** How many event streams may be open, if it is not the default of the server. */
  readonly maxStreams: number | undefined
  /** How many event streams a user may have open; undefined is as many as there may be. */
  readonly maxUserStreams: number | undefined
  /** How many requests a user may make in a minute; undefined is no limit. */
  readonly maxRequests: number | undefined
  /** The other protocols that the server speaks. */
  readonly faces: ReadonlyArray<Faces.Name>
  /** The secret that signs tickets for event streams, if there is one. */
  readonly ticketSecret: Redacted.Redacted | undefined
  /** The users of `PERENNIAL_OPERATORS`. Those with a token have the role in `tokens`. */
  readonly operators: ReadonlyArray<string>
  /** Empty: every client on this machine is the user `local`. */
  readonly tokens: ReadonlyArray<Tokens.Token>
}

const refuse = (variable: string, value: string, accepted: string) =>
  Effect.fail(
    new Config.ConfigError(
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({ message: `${variable}=${value} is not valid. Accepted: ${accepted}.` })
      )
    )
  )

const setting = <A>(variable: string, options: {
  readonly otherwise: A
  readonly accepted: string
  readonly parse: (value: string) => Option.Option<A>
}): Config.Config<A> =>
  Config.String(variable).pipe(
    Config.withDefault(""),
    Config.mapEffect((found) => {
      const value = found.trim()
      return value === "" ? Effect.succeed(options.otherwise) : Option.match(options.parse(value), {
        onNone: () => refuse(variable, value, options.accepted),
        onSome: Effect.succeed
      })
    })
  )

const upToMillion = (value: string): Option.Option<number> =>
  /^[1-9]\d{0,6}$/.test(value) && Number(value) <= 1_000_000 ? Option.some(Number(value)) : Option.none()

const isPublicUrl = (value: string): boolean => {
  if (!URL.canParse(value)) return false
  const { hash, protocol, search, username } = new URL(value)
  return /^https?:$/.test(protocol) && `${search}${hash}${username}` === ""
}

const read: Config.Config<ListenConfig> = Config.all({
  operators: Config.map(
    Config.withDefault(Config.String("PERENNIAL_OPERATORS"), ""),
    (value) => value.split(",").map((name) => name.trim()).filter((name) => name !== "")
  ),
  host: setting("HOST", {
    otherwise: "127.0.0.1",
    accepted: "a host name or address to listen on, such as 127.0.0.1 or 0.0.0.0",
    parse: Option.liftPredicate((value: string) => /^[\w.:-]+$/.test(value))
  }),
  port: setting("PORT", {
    otherwise: 3000,
    accepted: "a whole number from 0 (any free port) to 65535",
    parse: (value) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Option.some(Number(value)) : Option.none()
  }),
  publicUrl: setting<string | undefined>("PERENNIAL_PUBLIC_URL", {
    otherwise: undefined,
    accepted: "an http:// or https:// address without query, such as https://example.com",
    parse: Option.liftPredicate(isPublicUrl)
  }),
  maxStreams: setting<number | undefined>("PERENNIAL_MAX_STREAMS", {
    otherwise: undefined,
    accepted: "a whole number from 1 to 1000000",
    parse: upToMillion
  }),
  maxUserStreams: setting<number | undefined>("PERENNIAL_MAX_USER_STREAMS", {
    otherwise: 1_000,
    accepted: "a whole number from 1 to 1000000, or unlimited",
    parse: (value) => value === "unlimited" ? Option.some(undefined) : upToMillion(value)
  }),
  maxRequests: setting<number | undefined>("PERENNIAL_MAX_REQUESTS", {
    otherwise: 3_000,
    accepted: "a whole number from 1 to 1000000, or unlimited",
    parse: (value) => value === "unlimited" ? Option.some(undefined) : upToMillion(value)
  }),
  faces: setting("PERENNIAL_FACES", { otherwise: Faces.names, accepted: Faces.accepted, parse: Faces.parse }),
  ticketSecret: Config.Redacted("PERENNIAL_TICKET_SECRET").pipe(
    Config.withDefault(Redacted.make("")),
    Config.mapEffect((secret) => {
      const { length } = Redacted.value(secret)
      if (length > 0 && length < 32) return refuse("PERENNIAL_TICKET_SECRET", "<hidden>", "at least 32 characters")
      return Effect.succeed(length === 0 ? undefined : secret)
    })
  ),
  tokens: Config.map(Tokens.config(), Option.getOrElse((): ReadonlyArray<Tokens.Token> => []))
})

/**
 * How users are found.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether an identity provider knows users, too, such as `Jwt`; false by default. Its users may be operators. */
  readonly hasProvider?: boolean | undefined
}

/**
 * `config` for a server whose users are not only those of `PERENNIAL_TOKENS`.
 *
 * @since 0.1.0
 * @category config
 */
export const configWith = ({ hasProvider = false }: Options): Config.Config<ListenConfig> =>
  Config.mapEffect(read, ({ tokens, ...listen }) => {
    const { host, operators } = listen
    if (tokens.length === 0 && !hasProvider && !isLoopback(host)) {
      return refuse("HOST", host, "a loopback address such as 127.0.0.1, unless PERENNIAL_TOKENS is set")
    }
    const unknown = operators.find((name) => !tokens.some(({ userId }) => userId === name))
    if (unknown !== undefined && !hasProvider) {
      return refuse("PERENNIAL_OPERATORS", unknown, "users of PERENNIAL_TOKENS, separated by commas")
    }
    const withRoles = (token: Tokens.Token): Tokens.Token =>
      operators.includes(token.userId) ? { ...token, roles: ["operator"] } : token
    return Effect.succeed({ ...listen, tokens: tokens.map(withRoles) })
  })

/**
 * Reads `HOST` (127.0.0.1), `PORT` (3000), `PERENNIAL_PUBLIC_URL` (none), `PERENNIAL_MAX_STREAMS` (the default of the
 * server), `PERENNIAL_MAX_USER_STREAMS` (1,000), `PERENNIAL_MAX_REQUESTS` (3,000), `PERENNIAL_FACES` (all),
 * `PERENNIAL_TOKENS` (none), `PERENNIAL_OPERATORS` (none) and `PERENNIAL_TICKET_SECRET` (none). An empty variable counts as absent.
 *
 * **Details** Without tokens `HOST` must be a loopback address. A wrong value is an error of one line that names the
 * variable, the value and what is accepted; tokens are never shown.
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<ListenConfig> = configWith({})
