/** One reader of each client, for a server that ends in the middle of their answers. */
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import * as A2a from "./clients/a2a.ts"
import * as AgUi from "./clients/agUi.ts"
import * as Chat from "./clients/chat.ts"
import * as LangGraphPage from "./clients/langGraphPage.ts"
import * as LangGraph from "./clients/langGraphRun.ts"
import * as Mcp from "./clients/mcp.ts"
import * as OpenAi from "./clients/openai.ts"
import * as UseChat from "./clients/useChat.ts"
import * as Workflow from "./clients/workflow.ts"
import { assertWhole } from "./shown.ts"

/** Every client asks, and has a part of its answer, or knows that the agent has begun. */
export const begin = Effect.fnUntraced(function*(address: string) {
  const page = UseChat.make(address, { id: "c1" })
  const { chat: durable } = Workflow.make(address)
  yield* Effect.forkChild(Chat.send(page, "tell me"))
  yield* Effect.forkChild(Chat.send(durable, "tell me"))
  const client = OpenAi.connect(address)
  const stream = yield* OpenAi.create(client, "tell me", { conversation: "c3" })
  const events = yield* Effect.forkChild(Effect.promise(() => OpenAi.follow(client, stream)))
  const agent = AgUi.make(address, "c4")
  const running = yield* AgUi.begin(agent, "tell me", "r4")
  const answer = yield* Mcp.begin(yield* Mcp.connect(address), "tell me", "c5")
  const said = LangGraph.until("word 3 ")
  const parts = yield* Effect.forkChild(LangGraph.say(LangGraph.connect(address), "c6", "tell me", said.onPart))
  yield* said.seen
  const graphPage = LangGraphPage.make(address)
  const shown = yield* Effect.forkChild(LangGraphPage.say(graphPage, "tell me", { threadId: "c7" }))
  const calls = yield* Effect.forEach(A2a.bindings, (binding) => A2a.begin(address, binding))
  yield* LangGraphPage.until(graphPage, LangGraphPage.shows("word 3 "))
  for (const chat of [page, durable]) yield* Chat.until(chat, ({ text }) => text.includes("word 3 "))

  /**
   * Every client has its answer, from another process. The result compares them with what is stored. `lost` is what the usual
   * transport of the AI SDK reports about the end of the server.
   */
  const end = Effect.fnUntraced(function*(lost: "error" | "ready") {
    // The usual transport does not reconnect. Its page resumes.
    yield* Chat.until(page, ({ status }) => status === lost)
    yield* Effect.promise(() => page.resumeStream())
    // This client has no cursor: the same run again is the whole run.
    assert.equal(yield* Fiber.join(running), undefined)
    assert.deepEqual(yield* AgUi.run(agent, "r4"), { outcome: "success" })
    yield* Chat.until(durable, ({ status }) => status === "ready")
    const final = OpenAi.finalOf(yield* Fiber.join(events))
    const result = yield* Fiber.join(answer)
    const seen = yield* Fiber.join(parts)
    yield* Fiber.join(shown)
    const tasks = yield* Effect.forEach(calls, Fiber.join)
    const compare = Effect.gen(function*() {
      for (const chat of [page, durable]) {
        Chat.assertReady(chat)
        assert.match(chat.text, /word 0 .*word 99 $/s)
        assert.equal(chat.messages.length, 2)
      }
      yield* assertWhole(Chat.lines(page), address, "c1")
      assert.equal(final.status, "completed")
      yield* assertWhole(OpenAi.lines(final), address, "c3", ["text", "reasoning"])
      yield* assertWhole(AgUi.lines(agent.messages), address, "c4")
      yield* Mcp.whole(result, address, "c5")
      yield* LangGraph.whole({ address }, "c6", seen)
      yield* assertWhole(LangGraphPage.shown(graphPage), address, "c7")
      yield* A2a.whole({ address }, tasks.slice(0, 1))
      yield* A2a.whole({ address }, tasks.slice(1))
    })
    return { compare }
  })
  return { end }
})

/**
 * The most requests that the clients need: each begins, and reads on once. Some have a handshake, read a card, or look for their run
 * first.
 */
export const fewRequests = 32
