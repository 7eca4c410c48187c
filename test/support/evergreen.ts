/**
 * The complete server on a database file. Its model is the fake API, whose answers a test controls.
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import { join } from "node:path"
import * as Server from "./server.ts"
import { directory } from "./stores.ts"

/** Starts a server. `restart` starts the next server, with the same database file and port. */
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
    /** Replaces a dead server. */
    restart: Server.start({ env, port: first.port })
  }
})
