import { assert, describe, it } from "@effect/vitest"
import { type Agent, Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, type TaskId, UserId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as TaskData from "@perennial/runtime/TaskData"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Layer, Redacted, Ref, Schema, Stream } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { stores } from "../support/stores.ts"

const { FakeAnthropic } = Fake

const conversationId = ConversationId.make("c1")

/** The finalizers that ran: `agent`, `tool`. */
class Finalized extends Context.Service<Finalized, Ref.Ref<ReadonlyArray<string>>>()("@perennial/test/Finalized") {
  static readonly layer = Layer.effect(Finalized, Ref.make<ReadonlyArray<string>>([]))
  static readonly note = (what: string) =>
    Effect.map(this, (finalized) => Ref.update(finalized, (all) => [...all, what]))
}

const Tools = Toolkit.make(
  Tool.make("hold", { success: Schema.String }),
  Tool.make("remove", { success: Schema.String, needsApproval: true })
)

const tools = Tools.toLayer(Effect.map(Finalized.note("tool"), (finalized) => ({
  hold: () => Effect.onInterrupt(Effect.andThen(TaskData.emit("entered", true), Effect.never), () => finalized),
  remove: () => Effect.succeed("removed")
})))

/** The agent, with a finalizer that runs `note`. */
const noted = (agent: Agent, note: Effect.Effect<void>): Agent => ({
  ...agent,
  run: (input, emit) => Effect.onInterrupt(agent.run(input, emit), () => note)
})

const agents = Layer.effect(
  Agents,
  Effect.gen(function*() {
    const { url } = yield* FakeAnthropic
    const agent = yield* LlmAgent.make({
      agentId: "a",
      systemPrompt: "Be brief.",
      tools: Tools,
      model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url })
    })
    return yield* Effect.provide(Agents, Agents.layer([noted(agent, yield* Finalized.note("agent"))]))
  })
).pipe(Layer.provide(tools))

const finished = { toolUse: { id: "toolu_1", name: "nope", input: {} } }

interface Moment {
  readonly replies: ReadonlyArray<Fake.Reply>
  /** The line of the log after which the cancel comes. By default the cancel comes when the model request has arrived. */
  readonly after?: string
  /** How the last model request of the task ended: the answer was sent, or the client closed the connection. */
  readonly wire: "aborted" | "sent"
  readonly finalized: ReadonlyArray<string>
  /** The events that the cancel adds to the log. */
  readonly added: ReadonlyArray<string>
  /** The text of the assistant in the conversation. */
  readonly kept: string
}

const moments: { readonly [name: string]: Moment } = {
  "before the headers": {
    replies: [{ status: 200, body: "", instead: "hang" }],
    wire: "aborted",
    finalized: ["agent"],
    added: ["cancelled"],
    kept: ""
  },
  "in thinking": {
    replies: [{ actions: [{ thinking: ["hm"], signature: "s" }, { hang: true }] }],
    after: "reasoning hm",
    wire: "aborted",
    finalized: ["agent"],
    added: ["cancelled"],
    kept: ""
  },
  "in text": {
    replies: [{ actions: [{ text: ["I was about to"] }, { hang: true }] }],
    after: "text I was about to",
    wire: "aborted",
    finalized: ["agent"],
    added: ["message partial", "cancelled"],
    kept: "I was about to"
  },
  "in text after a step": {
    replies: [{ actions: [{ text: ["First. "] }, finished] }, { actions: [{ text: ["Then"] }, { hang: true }] }],
    after: "text Then",
    wire: "aborted",
    finalized: ["agent"],
    added: ["message partial", "cancelled"],
    kept: "First. Then"
  },
  "in a tool": {
    replies: [{ actions: [{ text: ["Wait."] }, { toolUse: { id: "toolu_2", name: "hold", input: {} } }] }],
    after: "data",
    wire: "sent",
    finalized: ["tool", "agent"],
    added: ["tool_result interrupted", "cancelled"],
    kept: "Wait."
  },
  "while it waits before a retry": {
    replies: [Fake.rateLimited(500)],
    after: "retry",
    wire: "sent",
    finalized: ["agent"],
    added: ["cancelled"],
    kept: ""
  },
  "while it waits for approval": {
    replies: [{ actions: [{ text: ["May I?"] }, { toolUse: { id: "toolu_3", name: "remove", input: {} } }] }],
    after: "tool_approval",
    wire: "sent",
    finalized: ["agent"],
    added: ["tool_result interrupted", "cancelled"],
    kept: "May I?"
  }
}

/** One line for an event. */
const line = ({ event }: StoredEvent): string => {
  switch (event.type) {
    case "text":
    case "reasoning":
      return `${event.type} ${event.content}`
    case "message":
      return event.partial === true ? "message partial" : "message"
    case "tool_result":
      return `tool_result ${event.status}`
    default:
      return event.type
  }
}

const readUntil = Effect.fnUntraced(function*(id: TaskId, until: string) {
  const events = yield* (yield* TaskManager).events(id)
  return yield* Stream.runCollect(Stream.takeUntil(Stream.map(events, line), (seen) => seen === until))
})

const storedMessages = Effect.flatMap(
  ConversationStore,
  (store) => store.messages({ id: conversationId, userId: UserId.make("local") }, { limit: 100 })
)

const assistantText = Effect.map(
  storedMessages,
  (stored) =>
    stored.flatMap(({ message }) =>
      message.role === "assistant" ? message.content.flatMap((part) => part.type === "text" ? [part.text] : []) : []
    ).join("")
)

describe.each(stores)("an agent over the Anthropic SDK is cancelled, on %s", (_, store) => {
  const layer = TaskRuntime.layer.pipe(
    Layer.provide(agents),
    Layer.provideMerge(Layer.mergeAll(store, FakeAnthropic.layer, Finalized.layer))
  )

  it.live.each(Object.entries(moments))(
    "P7, SCENARIO 20, 21, 23: %s: finalizers ran, the text is kept, and the next message is accepted",
    ([, moment]) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        const manager = yield* TaskManager
        yield* fake.push(...moment.replies, { actions: [{ text: ["fine"] }] })
        const { id } = yield* manager.start({ message: "Go on.", conversationId })
        const before = moment.after === undefined
          ? yield* Effect.as(fake.nextRequest, ["ack", "started", "model_request"])
          : yield* readUntil(id, moment.after)
        assert.strictEqual((yield* manager.cancel(id)).status, "cancelled")
        assert.deepStrictEqual(yield* Ref.get(yield* Finalized), moment.finalized)
        assert.deepStrictEqual((yield* readUntil(id, "cancelled")).slice(before.length), moment.added)
        const requests = yield* fake.requests
        assert.strictEqual(requests.length, moment.replies.length)
        const last = requests.at(-1)
        assert.isDefined(last)
        assert.strictEqual(yield* last.end, moment.wire)
        assert.strictEqual(yield* assistantText, moment.kept)
        const kept = yield* storedMessages
        const { lastSeq } = yield* manager.get(id)

        const next = yield* manager.start({ message: "And now?", conversationId })
        assert.strictEqual((yield* manager.await(next.id)).task.status, "completed")
        assert.strictEqual((yield* fake.requests).length, moment.replies.length + 1)
        // Nothing was written after the cancel, neither to the log nor to the conversation.
        assert.strictEqual((yield* manager.get(id)).lastSeq, lastSeq)
        assert.deepStrictEqual((yield* storedMessages).slice(0, kept.length), kept)
      }).pipe(Effect.provide(layer))
  )
})
