/**
 * The complete server on a database file, with the fake API behind it: a test controls what the model streams.
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import { join } from "node:path"
import * as Server from "./server.ts"
import { directory } from "./stores.ts"

/** Starts servers on one database file, one after the other, on one port. */
export const make = Effect.gen(function*() {
  const fake = yield* FakeAnthropic
  const path = join(yield* directory, "test.db")
  const env = {
    PERENNIAL_STORE: `sqlite:${path}`,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: fake.url,
    PERENNIAL_MODEL: "claude-test"
  }
  const first = yield* Server.start({ env })
  return {
    fake,
    first,
    address: first.address,
    /** Takes the place of a server that is dead. */
    restart: Server.start({ env, port: first.port })
  }
})
