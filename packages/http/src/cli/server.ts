/**
 * The server that the commands speak to: its address, the token, and whether it answers.
 */
import { Config, Effect, FileSystem, Option, Redacted } from "effect"
import type { PerennialClient } from "../Client.ts"
import { exitCodes, Failure, toFailure, usage, whyTransport } from "./failure.ts"
import * as Settings from "./settings.ts"

const defaultServer = "http://127.0.0.1:3000"

/** The address of the server, without a slash at its end. */
export const serverUrl = Effect.gen(function*() {
  const flag = yield* Settings.Server
  const name = Option.isSome(flag) ? "--server" : "PERENNIAL_SERVER"
  const variable = (yield* Effect.orDie(Config.withDefault(Config.String("PERENNIAL_SERVER"), ""))).trim()
  const given = Option.getOrElse(flag, () => variable === "" ? defaultServer : variable)
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
    return yield* usage(`${name} is ${given}: it must be an http:// or https:// address, such as ${defaultServer}.`)
  }
  const { hash, password, search, username } = new URL(given)
  if (`${username}${password}${search}${hash}` !== "") {
    return yield* usage(
      `${name} may have neither a user, a query nor a fragment. A token comes from PERENNIAL_TOKEN or --token-file.`
    )
  }
  return given.replace(/\/+$/, "")
})

/** The token for the server, if there is one. */
export const token = Effect.gen(function*() {
  const file = yield* Settings.TokenFile
  if (Option.isSome(file)) {
    const files = yield* FileSystem.FileSystem
    const text = yield* Effect.mapError(
      files.readFileString(file.value),
      (error) => usage(`--token-file ${file.value} cannot be read: ${whyTransport(error)}.`)
    )
    if (text.trim() === "") return yield* usage(`--token-file ${file.value} is empty: write the token into it.`)
    return Option.some(Redacted.make(text.trim()))
  }
  const variable = yield* Effect.orDie(Config.withDefault(Config.Redacted("PERENNIAL_TOKEN"), Redacted.make("")))
  const value = Redacted.value(variable).trim()
  return value === "" ? Option.none() : Option.some(Redacted.make(value))
})

const tooLate = new Failure({ code: exitCodes.unreachable, line: "no answer in 10 seconds" })

/** Fails if no server of Perennial answers: an address that is wrong is told at once, in one line. */
export const checkServer = (url: string, client: PerennialClient["Service"]): Effect.Effect<void, Failure> =>
  client.system.health().pipe(
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.fail(tooLate) }),
    Effect.asVoid,
    Effect.mapError((error) =>
      new Failure({
        code: exitCodes.unreachable,
        line: `No server of Perennial answers at ${url}: ${
          error === tooLate ? tooLate.message : toFailure(error).message.replace(/\.$/, "")
        }. Start one with "perennial serve", or name it with --server.`
      })
    )
  )
