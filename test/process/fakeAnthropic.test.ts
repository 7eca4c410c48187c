/** `pnpm fake:anthropic` and `pnpm start`: the complete server runs without a key. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chatAt } from "../support/chat.ts"
import * as Server from "../support/server.ts"

const servers = Effect.fnUntraced(function*(env: Readonly<Record<string, string>> = {}) {
  const fake = yield* Server.start({
    module: "test/support/fakeAnthropicServer.ts",
    env: { FAKE_ANTHROPIC_PORT: "0" }
  })
  const { address } = yield* Server.start({
    env: { PERENNIAL_STORE: "memory", ANTHROPIC_BASE_URL: fake.address, ANTHROPIC_API_KEY: "fake", ...env }
  })
  return chatAt(address)
})

describe("the fake API as a program", () => {
  it.live("answers a conversation with tools and files, and fails on request", () =>
    Effect.gen(function*() {
      const chat = yield* servers()
      const hello = yield* chat("Hello")
      assert.deepStrictEqual([hello.tools, hello.end?.type], [["current_time completed"], "done"])
      assert.match(hello.text, /The tool said: \d{4}-/)
      const wait = yield* chat("Please wait 1 second")
      assert.deepStrictEqual([wait.tools, wait.end?.type], [["wait completed"], "done"])
      const seen = yield* chat({
        role: "user",
        content: [
          {
            type: "file",
            mediaType: "image/png",
            data: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
          },
          { type: "file", mediaType: "application/pdf", url: "https://example.com/a.pdf" },
          { type: "text", text: "What is this?" }
        ]
      })
      assert.include(seen.text, "\"What is this?\" and sent image, document")
      const repeated = yield* chat("[overloaded] And now?")
      assert.deepStrictEqual([repeated.retries, repeated.end?.type], [["ModelOverloaded"], "done"])
      assert.include(repeated.text, "This is turn")
      const refused = yield* chat("[refusal]")
      assert.deepInclude(refused.end, { type: "error", error: "ModelRefused" })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("models of PERENNIAL_FALLBACK_MODELS answer if PERENNIAL_MODEL fails", () =>
    Effect.gen(function*() {
      const chat = yield* servers({ PERENNIAL_MODEL: "unknown-1", PERENNIAL_FALLBACK_MODELS: "unknown-2,claude-fake" })
      const hello = yield* chat("Hello")
      assert.deepStrictEqual(hello.retries, ["ModelNotFound", "ModelNotFound"])
      assert.deepStrictEqual([hello.tools, hello.end?.type], [["current_time completed"], "done"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
