/** What becomes of a model's answer: the message as the log can hold it, and which of its calls are executed. */
import type { AssistantMessage, Message, ToolCallPart, ToolResultPart } from "@perennial/domain/Message"
import { failed } from "../../AgentTools.ts"
import type { ModelAnswer } from "./modelAnswer.ts"
import { callsOf } from "./resumePoint.ts"
import { fitIntoEvents } from "./splitAnswer.ts"
import { resultPart } from "./toolCalls.ts"

export interface AcceptedAnswer {
  readonly message: AssistantMessage
  /** The calls to execute. */
  readonly calls: ReadonlyArray<ToolCallPart>
  /** The results of the calls that are not executed. */
  readonly refusals: ReadonlyArray<ToolResultPart>
}

export const limitReached = failed("The call was not executed: the task has reached its last step.")

const cutOff = failed(
  "The call was not executed: the response was cut at its maximum length. Use shorter arguments or fewer calls."
)

const argumentsTooLong = failed(
  "The call was not executed: its arguments are too long. Use shorter arguments, or several calls."
)

/** Models may repeat the id of a call; ours are unique in the conversation. */
const withUniqueIds = (message: AssistantMessage, history: ReadonlyArray<Message>): AssistantMessage => {
  if (callsOf(message).length === 0) return message
  const used = new Set(history.flatMap((message) => callsOf(message).map((call) => call.toolCallId)))
  const content = message.content.map((part) => {
    if (part.type !== "tool_call") return part
    let toolCallId = part.toolCallId
    for (let n = 2; used.has(toolCallId); n++) toolCallId = `${part.toolCallId}_${n}`
    used.add(toolCallId)
    return { ...part, toolCallId }
  })
  return { role: "assistant", content }
}

export const acceptAnswer = (answer: ModelAnswer, options: {
  readonly history: ReadonlyArray<Message>
  /** The task takes no step after this one. */
  readonly last: boolean
  /** The room for the content of one event, in characters of JSON. */
  readonly room: number
}): AcceptedAnswer => {
  const { message, tooLong } = fitIntoEvents(withUniqueIds(answer.message, options.history), options.room)
  const refusalOfAll = options.last ? limitReached : answer.finish === "length" ? cutOff : undefined
  const calls: Array<ToolCallPart> = []
  const refusals: Array<ToolResultPart> = []
  for (const call of callsOf(message)) {
    const refusal = refusalOfAll ?? (tooLong.has(call.toolCallId) ? argumentsTooLong : undefined)
    if (refusal === undefined) calls.push(call)
    else refusals.push(resultPart(call, refusal))
  }
  return { message, calls, refusals }
}
