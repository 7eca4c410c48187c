/**
 * Two complete servers on one database, which use one fake API.
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import * as Server from "./server.ts"

/** Starts both servers concurrently. */
export const start = Effect.fnUntraced(function*(database: string) {
  const fake = yield* FakeAnthropic
  const server = Server.start({
    env: {
      PERENNIAL_STORE: database,
      ANTHROPIC_API_KEY: "test",
      ANTHROPIC_BASE_URL: fake.url,
      PERENNIAL_MODEL: "claude-test"
    }
  })
  const [a, b] = yield* Effect.all([server, server], { concurrency: 2 })
  return { a, b, fake }
})
