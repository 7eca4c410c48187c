/**
 * A model that stays in the state for which a message asks: it thinks, writes, waits for a tool, or fails, until the test ends.
 */
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"

const answer = [
  "Three stores keep everything that was said. They differ in where they can run:\n\n",
  "| Store | Processes | Starts a second |\n| --- | --- | ---: |\n| SQLite | one | 4,100 |\n| PostgreSQL | any | 2,900 |\n\n",
  "1. **Every event** is written before it is shown.\n2. A crash takes *nothing* that was shown.\n\n",
  "```ts\nconst task = yield* tasks.start({ message: \"Hello\" })\n// The task runs on, whoever looks.\n```\n\n",
  "See [the guide](https://example.com/guide) for the details."
]

const half =
  "When the process that writes an answer dies, another process takes the task over. It reads the log of the task, and "
  + "knows each word that was shown.\n\nThen it goes on where"

/** An answer for each message, by its first word. */
const replies = {
  Think: {
    actions: [{ thinking: ["The person asks for a plan. I compare the two stores first."], signature: "s" }, {
      hang: true
    }]
  },
  Write: { actions: [{ text: [half] }, { hang: true }] },
  Tool: {
    actions: [{ text: ["I wait for the build."] }, { toolUse: { id: "w", name: "wait", input: { seconds: 600 } } }]
  },
  Announce: {
    actions: [
      { text: ["The notes are ready. I announce the release now."] },
      {
        toolUse: {
          id: "a",
          name: "announce",
          input: { subject: "Release 2.1", text: "Search finds every conversation, and tasks survive each restart." }
        }
      }
    ]
  },
  Retry: {
    status: 529,
    body: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
    headers: { "retry-after": "55" }
  },
  Fail: { status: 401, body: { type: "error", error: { type: "authentication_error", message: "invalid x-api-key" } } },
  Show: { actions: [{ text: answer }] }
} as const

const textOf = (content: unknown): string => typeof content === "string" ? content : JSON.stringify(content)

/** The address of the model. */
export const stateModel = Effect.gen(function*() {
  const model = yield* FakeAnthropic
  yield* model.otherwise(({ body }) => {
    const asked = textOf(body.messages.findLast(({ role }) => role === "user")?.content)
    if (asked.includes("tool_result")) return { actions: [{ text: ["It is done."] }] }
    const found = Object.entries(replies).find(([word]) => asked.includes(word))
    return found?.[1] ?? replies.Show
  })
  return model.url
})
