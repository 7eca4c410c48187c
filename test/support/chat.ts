/** A conversation with a server, as a test looks at it. */
import { Effect } from "effect"
import * as Rest from "./rest.ts"
import * as Sse from "./sse.ts"

/** Sends a message, and reads the events of its task to the end. */
export const chatAt = (address: string) =>
  Effect.fnUntraced(function*(message: unknown, conversationId = "c1") {
    const id = yield* Rest.start(address, { message, conversationId })
    const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
    return {
      tools: events.flatMap(({ data }) => data.type === "tool_result" ? [`${data["tool"]} ${data["status"]}`] : []),
      retries: events.flatMap(({ data }) => data.type === "retry" ? [data["reason"]] : []),
      text: events.map(({ data }) => data.type === "text" ? data["content"] : "").join(""),
      end: events.at(-1)?.data
    }
  })
