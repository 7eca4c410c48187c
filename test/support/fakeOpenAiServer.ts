/**
 * The fake of OpenAI's API as a program: the Responses API, and chat completions as Ollama has them.
 *
 *     npx -y pnpm@12.21.0 fake:openai
 */
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import { Console, Effect } from "effect"
import * as FakeServer from "./fakeServer.ts"
import * as Script from "./openAiScript.ts"

const greeting = (url: string) =>
  [
    `A fake of OpenAI's API listens on ${url}. It accepts any key. Start the server with one of its formats:`,
    `  PERENNIAL_MODEL=openai:gpt-fake OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY=fake npx -y pnpm@12.21.0 start`,
    `  PERENNIAL_MODEL=ollama:fake OLLAMA_BASE_URL=${url}/v1 OLLAMA_API_KEY=fake npx -y pnpm@12.21.0 start`,
    ...FakeServer.words
  ].join("\n")

FakeServer.run({
  variable: "FAKE_OPENAI_PORT",
  port: 4011,
  layer: (port) => FakeOpenAi.layerWith({ port }),
  serve: Effect.gen(function*() {
    const fake = yield* FakeOpenAi
    yield* fake.otherwise(Script.make())
    yield* Console.log(greeting(fake.url))
  })
})
