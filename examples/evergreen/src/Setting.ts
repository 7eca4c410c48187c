/**
 * How the server reads one variable of the environment. An empty variable counts as absent.
 */
import * as StoreSetting from "@perennial/backends/StoreSetting"
import { Config, Effect, Option, Schema } from "effect"

/** A setting is not valid. The message is one line for the person who starts the server. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  message: Schema.String
}) {}

/** The error for a value that is not accepted. */
export const invalid = (variable: string, value: string, accepted: string) =>
  new InvalidSetting({
    message: `${variable}=${StoreSetting.withoutPassword(value)} is not valid. Accepted: ${accepted}.`
  })

/** Reads a variable. The message about a `secret` does not show its value. */
export const read = Effect.fnUntraced(function*<A>(variable: string, options: {
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

export const withDefault = <A, E>(setting: Effect.Effect<Option.Option<A>, E>, value: A): Effect.Effect<A, E> =>
  Effect.map(setting, Option.getOrElse(() => value))
