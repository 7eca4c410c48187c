import { assert, describe, it } from "@effect/vitest"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Option, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

const { Script } = ScriptedModel
const conversationId = ConversationId.make("c1")

/** Adds the page of the user to the message for the model. */
const userMessage: LlmAgent.AgentConfig["userMessage"] = (message, { page }) => ({
  role: "user",
  content: [...message.content, { type: "text", text: `[on page ${String(page)}]` }]
})

const config = { agentId: "agent-1", systemPrompt: "Be brief.", userMessage }

/** The texts of the user's messages in a request. */
const textsOf = ({ prompt }: ScriptedModel.ScriptedRequest) =>
  prompt.content.flatMap((message) =>
    message.role === "user"
      ? [message.content.map((part) => part.type === "text" ? part.text : part.type).join(" ")]
      : []
  )

describe("userMetadata", () => {
  it.effect("tools can read the metadata of their task", () =>
    Effect.gen(function*() {
      const Where = Toolkit.make(Tool.make("where", { success: Schema.Json }))
      const where = Effect.map(CurrentTask, (task) => Option.isSome(task) ? task.value.userMetadata : null)
      yield* (yield* Script).push([{ tool: "where" }], ["ok"], [{ tool: "where" }], ["ok"])
      const agent = yield* Effect.provide(
        LlmAgent.make({ ...config, tools: Where }),
        Where.toLayer({ where: () => where })
      )
      const both = yield* shared
      const { manager } = yield* startProcess(both, [agent])
      const results = Effect.fnUntraced(function*(userMetadata: { readonly page: number } | undefined) {
        const { id } = yield* manager.start({ message: "x", userMetadata })
        yield* untilEnded(both, id)
        const { events } = yield* both.backend.events(id, { after: 0, limit: 100, maxBytes: 1_000_000 })
        return events.flatMap(({ event }) => event.type === "tool_result" ? [event.result] : [])
      })
      assert.deepStrictEqual(yield* results({ page: 3 }), [{ page: 3 }])
      assert.deepStrictEqual(yield* results(undefined), [{}])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.effect("an agent can show it to the model, also in later turns; the conversation stores it beside the message", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const both = yield* shared
      const { manager } = yield* startProcess(both, [yield* LlmAgent.make(config)])
      const say = Effect.fnUntraced(function*(message: string, page?: number) {
        const userMetadata = page === undefined ? undefined : { page }
        const { id } = yield* manager.start({ message, conversationId, userMetadata })
        yield* untilEnded(both, id)
      })
      yield* script.push(["a"], ["b"], ["c"])
      yield* say("one", 1)
      yield* say("two")
      yield* say("three", 3)
      const [last] = (yield* script.requests).slice(-1)
      assert.deepStrictEqual(last === undefined ? [] : textsOf(last), [
        "one [on page 1]",
        "two",
        "three [on page 3]"
      ])
      const [first] = yield* both.store.messages({ id: conversationId, userId: UserId.make("local") }, { limit: 1 })
      assert.deepStrictEqual([first?.message, first?.metadata], [userText("one"), { page: 1 }])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.effect("P8: the model gets the same text after another process took over the task", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([{ never: true }], ["ok"])
      const both = yield* shared
      const agent = yield* LlmAgent.make(config)
      const a = yield* startProcess(both, [agent])
      const { id } = yield* a.manager.start({ message: "one", userMetadata: { page: 1 } })
      yield* settle
      a.line.cut()
      yield* startProcess(both, [agent])
      yield* untilEnded(both, id)
      const asked = (yield* script.requests).map(textsOf)
      assert.deepStrictEqual(asked, [["one [on page 1]"], ["one [on page 1]"]])
    }).pipe(Effect.provide(ScriptedModel.layer())))
})
