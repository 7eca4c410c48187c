/** The mapping between stored messages and the prompts of `effect/ai`. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { Decision } from "@perennial/domain/Decision"
import type { AssistantMessage, Message, ToolResultPart, UnknownPart, UserMessage } from "@perennial/domain/Message"
import { Option, Schema } from "effect"
import { Prompt } from "effect/ai"
import * as ProviderParts from "./providerParts.ts"

const options = (part: { readonly providerData?: { readonly [key: string]: Schema.Json } }): Prompt.ProviderOptions =>
  part.providerData ?? {}

const providerData = (options: Prompt.ProviderOptions): { readonly providerData?: Record<string, Schema.Json> } => {
  const known: Record<string, Schema.Json> = {}
  for (const [provider, data] of Object.entries(options)) if (data !== null) known[provider] = data
  return Object.keys(known).length === 0 ? {} : { providerData: known }
}

const parseUrl = Schema.decodeOption(Schema.URLFromString)

/** A model is told of a user's part that this version cannot send. */
const noteOfUnknown = ({ raw }: UnknownPart): Prompt.TextPart =>
  Prompt.textPart({
    text: `[Content that cannot be read, of type ${ContentBounds.wellFormed(raw.type.slice(0, 100))}]`
  })

const userPart = (part: UserMessage["content"][number]): Prompt.UserMessagePart => {
  if (part.type === "unknown") return noteOfUnknown(part)
  if (part.type === "text") {
    return Prompt.textPart({ text: ContentBounds.wellFormed(part.text), options: options(part) })
  }
  return Prompt.filePart({
    mediaType: part.mediaType,
    data: part.url === undefined ? part.data ?? "" : Option.getOrElse(parseUrl(part.url), () => part.url ?? ""),
    ...(part.name === undefined ? {} : { fileName: ContentBounds.wellFormed(part.name) }),
    options: options(part)
  })
}

const isKnown = <Part extends { readonly type: string }>(part: Part): part is Exclude<Part, UnknownPart> =>
  part.type !== "unknown"

const assistantPart = (
  part: Exclude<AssistantMessage["content"][number], UnknownPart>
): Prompt.AssistantMessagePart => {
  switch (part.type) {
    case "text":
      return Prompt.textPart({ text: ContentBounds.wellFormed(part.text), options: options(part) })
    case "reasoning":
      return Prompt.reasoningPart({ text: ContentBounds.wellFormed(part.text), options: options(part) })
    case "tool_call":
      return Prompt.toolCallPart({
        id: part.toolCallId,
        name: ContentBounds.wellFormed(part.tool),
        params: ContentBounds.wellFormedJson(part.args),
        providerExecuted: false,
        options: options(part)
      })
    case "provider_tool_call":
      return Prompt.toolCallPart({
        id: part.toolCallId,
        name: part.tool,
        params: part.args,
        providerExecuted: true,
        options: options(part)
      })
    case "provider_tool_result":
      return Prompt.toolResultPart({
        id: part.toolCallId,
        name: part.tool,
        result: part.result,
        isFailure: false,
        providerExecuted: true,
        options: options(part)
      })
  }
}

/** The call stays in the history with the arguments of the model. The changes of a person are told with the result. */
const noteOf = (decision: Decision | undefined): string | undefined => {
  if (decision?.approved !== true) return undefined
  const { args, reason } = decision
  if (args === undefined) return reason === undefined ? undefined : `A person allowed the call and said: ${reason}`
  const changed = `A person changed the arguments to ${JSON.stringify(args)}`
  return reason === undefined ? `${changed}.` : `${changed} and said: ${reason}`
}

const toldResult = ({ decision, result }: ToolResultPart): Schema.Json => {
  const note = noteOf(decision)
  return note === undefined ? result : `${note}\n${typeof result === "string" ? result : JSON.stringify(result)}`
}

/**
 * A stored message as a message of `effect/ai`. Of a user's part that this version does not know, the model gets a note;
 * other such parts are left out.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toPromptMessage = (message: Message): Prompt.Message => {
  switch (message.role) {
    case "user":
      return Prompt.userMessage({ content: message.content.map(userPart) })
    case "assistant":
      return Prompt.assistantMessage({ content: message.content.filter(isKnown).map(assistantPart) })
    case "tool":
      return Prompt.toolMessage({
        content: message.content.filter(isKnown).map((part) =>
          Prompt.toolResultPart({
            id: part.toolCallId,
            name: ContentBounds.wellFormed(part.tool),
            isFailure: part.status !== "completed",
            result: ContentBounds.wellFormedJson(toldResult(part)),
            providerExecuted: false,
            options: options(part)
          })
        )
      })
  }
}

/**
 * A message of the model in its stored form.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromAssistantMessage = (message: Prompt.AssistantMessage): AssistantMessage => {
  const content: Array<AssistantMessage["content"][number]> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text": {
        const { citations, options } = ProviderParts.citationsOf(part)
        content.push({ type: "text", text: part.text, ...citations, ...providerData(options) })
        break
      }
      case "reasoning":
        content.push({ type: part.type, text: part.text, ...providerData(part.options) })
        break
      case "tool-call":
        if (part.providerExecuted) {
          const { isResult, options } = ProviderParts.kindOf(part)
          const value = part.params as Schema.Json | null | undefined ?? null
          const call = { toolCallId: part.id, tool: part.name, ...providerData(options) }
          content.push(
            isResult
              ? { type: "provider_tool_result", ...call, result: value }
              : { type: "provider_tool_call", ...call, args: value }
          )
          break
        }
        content.push({
          type: "tool_call",
          toolCallId: part.id,
          tool: part.name,
          // Providers read it from JSON. Some write null where a tool takes no arguments.
          args: part.params as Schema.Json | null | undefined ?? {},
          ...providerData(part.options)
        })
    }
  }
  return { role: "assistant", content }
}
