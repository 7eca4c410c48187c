/** The owner of a task is killed (-9) while its clients read: each ends with the whole answer, from another process. */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import * as Process from "../support/server.ts"
import * as A2a from "./clients/a2a.ts"
import * as AgUi from "./clients/agUi.ts"
import * as Chat from "./clients/chat.ts"
import * as LangGraphPage from "./clients/langGraphPage.ts"
import * as LangGraph from "./clients/langGraphRun.ts"
import * as Mcp from "./clients/mcp.ts"
import * as OpenAi from "./clients/openai.ts"
import * as UseChat from "./clients/useChat.ts"
import * as Workflow from "./clients/workflow.ts"
import * as Proxy from "./proxy.ts"
import { assertWhole } from "./shown.ts"

withPostgres("the death of an owner", (postgres) => {
  it.live("P8: every client ends with the whole answer", () =>
    Effect.gen(function*() {
      const { url } = yield* makeDatabase(postgres)
      const server = Process.start({ module: "test/faces/process.ts", env: { STORE: url } })
      const [owner, other] = yield* Effect.all([server, server], { concurrency: 2 })
      // The owner executes all tasks: the other process cannot take them.
      yield* other.freeze
      let target = owner
      const { address, requests } = yield* Proxy.make(() => target.port, { cut: "hard", frames: () => Infinity })
      const page = UseChat.make(address, { id: "c1" })
      const { chat: durable } = Workflow.make(address)
      const client = OpenAi.connect(address)
      yield* Effect.forkChild(Chat.send(page, "tell me"))
      yield* Effect.forkChild(Chat.send(durable, "tell me"))
      const stream = yield* OpenAi.create(client, "tell me", { conversation: "c3" })
      const events = yield* Effect.forkChild(Effect.promise(() => OpenAi.follow(client, stream)))
      const agent = AgUi.make(address, "c4")
      const running = yield* Effect.forkChild(AgUi.say(agent, "tell me", "r4"))
      const tool = yield* Mcp.connect(address)
      const answer = yield* Effect.forkChild(Mcp.ask(tool, "tell me", "c5"))
      const called = yield* Effect.forEach(A2a.bindings, (binding) => A2a.begin(address, binding))
      const graph = yield* Effect.forkChild(LangGraph.say(LangGraph.connect(address), "c6", "tell me"))
      const graphPage = LangGraphPage.make(address)
      const shown = yield* Effect.forkChild(LangGraphPage.say(graphPage, "tell me", { threadId: "c7" }))
      yield* LangGraphPage.until(graphPage, LangGraphPage.shows("word 3 "))
      for (const chat of [page, durable]) yield* Chat.until(chat, ({ text }) => text.includes("word 3 "))

      target = other
      yield* other.thaw
      yield* owner.kill
      // The usual transport reports the lost connection. Its page resumes.
      yield* Chat.until(page, ({ status }) => status === "error")
      yield* Effect.promise(() => page.resumeStream())
      assert.isUndefined(yield* Fiber.join(running))
      assert.deepStrictEqual(yield* AgUi.run(agent, "r4"), { outcome: "success" })
      yield* Chat.until(durable, ({ status }) => status === "ready")
      const final = OpenAi.finalOf(yield* Fiber.join(events))

      yield* Mcp.whole(yield* Fiber.join(answer), address, "c5")

      yield* LangGraph.whole({ address }, "c6", yield* Fiber.join(graph))
      yield* Fiber.join(shown)
      yield* assertWhole(LangGraphPage.shown(graphPage), address, "c7")

      // Nobody asks in a loop while the task has no owner.
      assert.isAtMost(requests().length, 40)
      for (const chat of [page, durable]) {
        Chat.assertReady(chat)
        assert.match(chat.text, /word 0 .*word 99 $/s)
        assert.lengthOf(chat.messages, 2)
      }
      yield* assertWhole(Chat.lines(page), address, "c1")
      yield* assertWhole(AgUi.lines(agent.messages), address, "c4")
      for (const task of yield* Effect.forEach(called, Fiber.join)) yield* A2a.whole({ address }, [task])
      assert.strictEqual(final.status, "completed")
      yield* assertWhole(OpenAi.lines(final), address, "c3", ["text", "reasoning"])
    }).pipe(Effect.provide(NodeServices.layer)))
})
