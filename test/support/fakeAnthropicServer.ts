/**
 * The fake Messages API as a program. Programs that need a model can run with it without a key.
 *
 *     npx -y pnpm@12.21.0 fake:anthropic
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Console, Effect } from "effect"
import * as Script from "./anthropicScript.ts"
import * as FakeServer from "./fakeServer.ts"

const greeting = (url: string) =>
  [
    `A fake Anthropic API listens on ${url}. It accepts any key. Start the server with it:`,
    `  ANTHROPIC_BASE_URL=${url} ANTHROPIC_API_KEY=fake npx -y pnpm@12.21.0 start`,
    ...FakeServer.words
  ].join("\n")

FakeServer.run({
  variable: "FAKE_ANTHROPIC_PORT",
  port: 4010,
  layer: (port) => FakeAnthropic.layerWith({ port }),
  serve: Effect.gen(function*() {
    const fake = yield* FakeAnthropic
    yield* fake.otherwise(Script.make())
    yield* Console.log(greeting(fake.url))
  })
})
