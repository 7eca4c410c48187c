/**
 * Who may use the server: people with static tokens, with tokens of an identity provider, or with either. Without both,
 * everybody on this machine is one user.
 */
import * as Authorization from "@perennial/http/Authorization"
import * as Jwt from "@perennial/http/Jwt"
import * as Tokens from "@perennial/http/Tokens"
import { Effect, Option } from "effect"
import type { ServerConfig } from "./ServerConfig.ts"

export const layer = ({ jwt, operators, tokens }: ServerConfig) => {
  const known = Tokens.makeVerify(tokens)
  if (Option.isNone(jwt)) return tokens.length === 0 ? Tokens.layerLocal : Authorization.layerVerify(known)
  const { userClaim = "sub" } = jwt.value
  const signed = Jwt.makeVerify({
    ...jwt.value,
    rolesOf: ({ [userClaim]: user }) => typeof user === "string" && operators.includes(user) ? ["operator"] : []
  })
  return Authorization.layerVerify((credential) =>
    Effect.filterOrElse(known(credential), Option.isSome, () => signed(credential))
  )
}
