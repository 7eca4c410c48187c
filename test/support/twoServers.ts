/**
 * Complete servers on one database, with one fake API behind them.
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import * as Server from "./server.ts"

/** How to start servers on one database, which the first brings up to date. */
export const on = Effect.fnUntraced(function*(database: string) {
  const fake = yield* FakeAnthropic
  const env = {
    PERENNIAL_STORE: database,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: fake.url,
    PERENNIAL_MODEL: "claude-test"
  }
  return { fake, start: Server.start({ env }) }
})

/** Two of them, started at once. */
export const start = Effect.fnUntraced(function*(database: string) {
  const { fake, start } = yield* on(database)
  const [a, b] = yield* Effect.all([start, start], { concurrency: 2 })
  return { a, b, fake }
})
