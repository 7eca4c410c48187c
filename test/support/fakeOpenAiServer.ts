/**
 * The fake of OpenAI's API as a program: the Responses API, and chat completions as Ollama has them.
 *
 *     npx -y pnpm@12.21.0 fake:openai
 */
import { NodeRuntime } from "@effect/platform-node"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import { Config, Console, Effect, Layer, Schema } from "effect"
import * as Script from "./openAiScript.ts"

const greeting = (url: string) =>
  [
    `A fake of OpenAI's API listens on ${url}. It accepts any key. Start the server with one of its formats:`,
    `  PERENNIAL_MODEL=openai:gpt-fake OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY=fake npx -y pnpm@12.21.0 start`,
    `  PERENNIAL_MODEL=ollama:fake OLLAMA_BASE_URL=${url}/v1 OLLAMA_API_KEY=fake npx -y pnpm@12.21.0 start`,
    "It calls current_time, and wait if a message says \"wait 5 seconds\". These words in a message make it fail:",
    "  [overloaded] [rate limited] [cut] once, so that a retry succeeds; [refusal] [too long] [silence] always."
  ].join("\n")

const refuse = (why: string) =>
  Effect.andThen(
    Console.error(`The fake API cannot listen on FAKE_OPENAI_PORT: ${why}.`),
    Effect.sync(() => {
      process.exitCode = 1
    })
  )

const main = Effect.gen(function*() {
  const fake = yield* FakeOpenAi
  yield* fake.otherwise(Script.make())
  yield* Console.log(greeting(fake.url))
  return yield* Effect.never
})

/** A port. 0 means any free port. */
const Port = Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 }))

const server = Layer.unwrap(
  Effect.map(
    Config.withDefault(Config.schema(Port, "FAKE_OPENAI_PORT"), 4011),
    (port) => FakeOpenAi.layerWith({ port })
  )
)

NodeRuntime.runMain(main.pipe(
  Effect.provide(server),
  Effect.catchTags({
    ConfigError: () => refuse("it is a whole number from 0 (any free port) to 65535"),
    ListenError: ({ reason }) => refuse(reason)
  })
))
