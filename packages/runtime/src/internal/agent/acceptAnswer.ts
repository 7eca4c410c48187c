/** What becomes of a model's answer: the message as the log can hold it, and which of its calls are executed. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { AssistantMessage, Message, ToolCallPart, ToolResultPart } from "@perennial/domain/Message"
import { failed } from "../../AgentTools.ts"
import { outcomeOf, type ReadAnswer, toolName } from "./finalAnswer.ts"
import type { ModelAnswer } from "./modelAnswer.ts"
import { callsOf } from "./resumePoint.ts"
import { fitIntoEvents } from "./splitAnswer.ts"
import { resultPart } from "./toolCalls.ts"

export interface AcceptedAnswer {
  readonly message: AssistantMessage
  /** The calls to execute. */
  readonly calls: ReadonlyArray<ToolCallPart>
  /** The results of the calls that are not executed: calls of `final_answer`, and calls that are refused. */
  readonly refusals: ReadonlyArray<ToolResultPart>
}

const notExecuted = (why: string) => failed(`The call was not executed: ${why}`)

export const limitReached = notExecuted("the task has reached its last step.")

const answered = notExecuted("the same message has the final answer.")

const cutOff = notExecuted("the response was cut at its maximum length. Use shorter arguments or fewer calls.")

const argumentsTooLong = notExecuted("its arguments are too long. Use shorter arguments, or several calls.")

/** Names of tools have at most this many characters, also names that a model has invented. */
const maxNameLength = 128

type Part = AssistantMessage["content"][number]

/** A part whose texts are well-formed and whose JSON is in bounds. Arguments out of bounds are removed. */
const boundPart = (part: Part): Part => {
  if (part.type === "unknown") return part
  const { providerData, ...rest } = part
  const data = providerData === undefined || ContentBounds.jsonProblem(providerData) !== undefined
    ? {}
    : { providerData: ContentBounds.wellFormedFields(providerData) }
  if (rest.type === "tool_call") {
    const args = ContentBounds.jsonProblem(rest.args) === undefined ? ContentBounds.wellFormedJson(rest.args) : {}
    const tool = ContentBounds.wellFormed(ContentBounds.truncate(rest.tool, maxNameLength))
    return { ...rest, args, tool, ...data }
  }
  if (rest.type === "provider_tool_call") return { ...rest, args: ContentBounds.wellFormedJson(rest.args), ...data }
  if (rest.type === "provider_tool_result") {
    return { ...rest, result: ContentBounds.wellFormedJson(rest.result), ...data }
  }
  const text = ContentBounds.wellFormed(rest.text)
  // A signature is valid for the text that was signed.
  return rest.type === "reasoning" && text !== rest.text ? { ...rest, text } : { ...rest, text, ...data }
}

/**
 * Ids of calls are unique in the conversation, and a path of a URL can name them. Models repeat ids, and some servers send
 * ids that are empty or have any characters.
 */
const withUniqueIds = (message: AssistantMessage, history: ReadonlyArray<Message>): AssistantMessage => {
  if (callsOf(message).length === 0) return message
  const used = new Set(history.flatMap((message) => callsOf(message).map((call) => call.toolCallId)))
  const content = message.content.map((part) => {
    if (part.type !== "tool_call") return part
    const isAccepted = ContentBounds.isToolCallId(part.toolCallId)
    let toolCallId = isAccepted ? part.toolCallId : "call_1"
    for (let n = 2; used.has(toolCallId); n++) toolCallId = `${isAccepted ? part.toolCallId : "call"}_${n}`
    used.add(toolCallId)
    return { ...part, toolCallId }
  })
  return { role: "assistant", content }
}

export const acceptAnswer = (answer: ModelAnswer, options: {
  readonly history: ReadonlyArray<Message>
  /** The task takes no step after this one. */
  readonly last: boolean
  /** What the answer says about the final answer, if the agent promises one. */
  readonly read: ReadAnswer | undefined
  /** The room for the content of one event, in characters of JSON. */
  readonly room: number
}): AcceptedAnswer => {
  const given = withUniqueIds(answer.message, options.history)
  const bounded: AssistantMessage = { role: "assistant", content: given.content.map(boundPart) }
  const { message, tooLong } = fitIntoEvents(bounded, options.room)
  const argsOf = new Map(callsOf(given).map((call) => [call.toolCallId, call.args]))
  const refusalOf = ({ tool, toolCallId }: ToolCallPart) => {
    if (options.read !== undefined && tool === toolName) return outcomeOf(options.read)
    if (options.read?.output !== undefined) return answered
    if (options.last) return limitReached
    if (answer.finish === "length") return cutOff
    const problem = ContentBounds.jsonProblem(argsOf.get(toolCallId))
    if (problem !== undefined) return notExecuted(`the JSON of its arguments ${problem}.`)
    return tooLong.has(toolCallId) ? argumentsTooLong : undefined
  }
  const calls: Array<ToolCallPart> = []
  const refusals: Array<ToolResultPart> = []
  for (const call of callsOf(message)) {
    const refusal = refusalOf(call)
    if (refusal === undefined) calls.push(call)
    else refusals.push(resultPart(call, refusal))
  }
  return { message, calls, refusals }
}
