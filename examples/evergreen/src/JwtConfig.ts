/**
 * The settings of an identity provider, whose JSON Web Tokens the server accepts.
 */
import type * as Jwt from "@perennial/http/Jwt"
import { Effect, Option, Redacted } from "effect"
import { InvalidSetting, read } from "./Setting.ts"

/** Which tokens are accepted. */
export type JwtConfig = Pick<Jwt.Options, "audience" | "issuer" | "keys" | "userClaim">

/** All variables of this module. */
export const variables = [
  "PERENNIAL_JWT_ISSUER",
  "PERENNIAL_JWT_AUDIENCE",
  "PERENNIAL_JWT_JWKS_URL",
  "PERENNIAL_JWT_SECRET",
  "PERENNIAL_JWT_USER_CLAIM"
] as const

const isText = Option.liftPredicate((value: string) => /^[\x21-\x7e]{1,2000}$/.test(value))

const issuer = read("PERENNIAL_JWT_ISSUER", {
  accepted: "the claim iss of the tokens, such as https://login.example.com/",
  parse: isText
})

const audience = read("PERENNIAL_JWT_AUDIENCE", {
  accepted: "the claim aud of the tokens, such as https://agents.example.com",
  parse: isText
})

const userClaim = read("PERENNIAL_JWT_USER_CLAIM", {
  accepted: "the name of the claim that has the id of the user, such as sub or email",
  parse: isText
})

/** Keys that arrive over a network without TLS could be anybody's. */
const isTrusted = (value: string): boolean =>
  URL.canParse(value) &&
  /^(?:https:\/\/|http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::|\/|$))/.test(new URL(value).href)

const jwksUrl = read("PERENNIAL_JWT_JWKS_URL", {
  accepted: "an https:// address, or an http:// address of this machine",
  parse: Option.liftPredicate(isTrusted)
})

const secret = read("PERENNIAL_JWT_SECRET", {
  accepted: "at least 32 bytes",
  secret: true,
  parse: (value) =>
    new TextEncoder().encode(value).length >= 32
      ? Option.some(Redacted.make(value, { label: "secret" }))
      : Option.none()
})

const needs = (given: string, what: string) => new InvalidSetting({ message: `${given} needs ${what}.` })

const keysFor = "the keys that sign the tokens: PERENNIAL_JWT_JWKS_URL for public keys, or PERENNIAL_JWT_SECRET for a "
  + "shared secret, and not both"

/** None if no variable is set. */
export const load: Effect.Effect<Option.Option<JwtConfig>, InvalidSetting> = Effect.gen(function*() {
  const values = {
    PERENNIAL_JWT_ISSUER: yield* issuer,
    PERENNIAL_JWT_AUDIENCE: yield* audience,
    PERENNIAL_JWT_JWKS_URL: yield* jwksUrl,
    PERENNIAL_JWT_SECRET: yield* secret,
    PERENNIAL_JWT_USER_CLAIM: yield* userClaim
  }
  const given = variables.find((variable) => values[variable]._tag === "Some")
  if (given === undefined) return Option.none()
  const required = (variable: "PERENNIAL_JWT_ISSUER" | "PERENNIAL_JWT_AUDIENCE") =>
    Effect.fromOption(
      values[variable],
      () => needs(given, `${variable}, so that no token for another server is accepted`)
    )
  const keys: ReadonlyArray<Jwt.Keys> = [
    ...Option.toArray(Option.map(values.PERENNIAL_JWT_JWKS_URL, (jwksUrl) => ({ jwksUrl }))),
    ...Option.toArray(Option.map(values.PERENNIAL_JWT_SECRET, (secret) => ({ secret })))
  ]
  const [key, ...others] = keys
  if (key === undefined || others.length > 0) return yield* needs(given, keysFor)
  return Option.some({
    issuer: yield* required("PERENNIAL_JWT_ISSUER"),
    audience: yield* required("PERENNIAL_JWT_AUDIENCE"),
    keys: key,
    userClaim: Option.getOrUndefined(values.PERENNIAL_JWT_USER_CLAIM)
  })
})
