/**
 * Reads `alice:secret1,bob:secret2`. Its errors name the entry and never show it: it holds a secret.
 */
import { UserId } from "@perennial/domain/Ids"
import { Config, Effect, Redacted, Schema, SchemaIssue } from "effect"

const invalid = (name: string, entry: number, problem: string) =>
  Effect.fail(
    new Config.ConfigError(
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({
          message: `${name}: entry ${entry} ${problem}. Expected <user>:<token>, separated by commas.`
        })
      )
    )
  )

export const parseTokens = Effect.fnUntraced(function*(name: string, text: string) {
  const tokens: Array<{ readonly userId: UserId; readonly secret: Redacted.Redacted }> = []
  const seen = new Set<string>()
  for (const [i, entry] of text.split(",").entries()) {
    const at = entry.indexOf(":")
    const user = entry.slice(0, at).trim()
    const secret = entry.slice(at + 1).trim()
    if (at === -1) return yield* invalid(name, i + 1, "has no `:`")
    if (!Schema.is(UserId)(user)) {
      return yield* invalid(name, i + 1, "has no user of 1 to 200 characters, or one with a control character")
    }
    if (secret === "") return yield* invalid(name, i + 1, "has an empty token")
    if (seen.has(secret)) return yield* invalid(name, i + 1, "repeats the token of another entry")
    seen.add(secret)
    tokens.push({ userId: user, secret: Redacted.make(secret) })
  }
  return tokens
})
