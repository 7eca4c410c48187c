/** `pnpm fake:anthropic` and `pnpm start`: everything runs without a key. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"

const servers = Effect.gen(function*() {
  const fake = yield* Server.start({
    module: "test/support/fakeAnthropicServer.ts",
    env: { FAKE_ANTHROPIC_PORT: "0" }
  })
  return yield* Server.start({
    env: { PERENNIAL_STORE: "memory", ANTHROPIC_BASE_URL: fake.address, ANTHROPIC_API_KEY: "fake" }
  })
})

describe("the fake API as a program", () => {
  it.live("answers a conversation with tools, and fails on request", () =>
    Effect.gen(function*() {
      const { address } = yield* servers
      const chat = Effect.fnUntraced(function*(message: string, conversationId = "c1") {
        const id = yield* Rest.start(address, { message, conversationId })
        const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
        return {
          tools: events.flatMap(({ data }) => data.type === "tool_result" ? [`${data["tool"]} ${data["status"]}`] : []),
          retries: events.flatMap(({ data }) => data.type === "retry" ? [data["reason"]] : []),
          text: events.map(({ data }) => data.type === "text" ? data["content"] : "").join(""),
          end: events.at(-1)?.data
        }
      })
      const hello = yield* chat("Hello")
      assert.deepStrictEqual([hello.tools, hello.end?.type], [["current_time completed"], "done"])
      assert.match(hello.text, /The tool said: \d{4}-/)
      const wait = yield* chat("Please wait 1 second")
      assert.deepStrictEqual([wait.tools, wait.end?.type], [["wait completed"], "done"])
      const repeated = yield* chat("[overloaded] And now?")
      assert.deepStrictEqual([repeated.retries, repeated.end?.type], [["ModelOverloaded"], "done"])
      assert.include(repeated.text, "This is turn")
      const refused = yield* chat("[refusal]")
      assert.deepInclude(refused.end, { type: "error", error: "ModelRefused" })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
