/**
 * Tools that Anthropic executes itself, such as the web search, and citations: as parts of answers, and as blocks of later
 * requests. The API gets its blocks back unchanged; parts of them are encrypted.
 */
import type Anthropic from "@anthropic-ai/sdk"
import type { Citation } from "@perennial/domain/Message"
import { Predicate, Schema } from "effect"
import type { Prompt, Response } from "effect/ai"
import * as ProviderParts from "../history/providerParts.ts"

type Block = Anthropic.ContentBlockParam

/** What of a block is neither in its part nor made from it. */
const Data = Schema.Struct({
  anthropic: Schema.Struct({ type: Schema.String, caller: Schema.optionalKey(Schema.Json) })
})
const isData = Schema.is(Data)

const isCiting = Schema.is(Schema.Struct({
  anthropic: Schema.Struct({ citations: Schema.Array(Schema.Record(Schema.String, Schema.Json)) })
}))

const toJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Json))

/** What a server sent, as JSON. A field that is undefined is left out. */
const json = (value: unknown): Schema.Json => toJson(JSON.stringify(value) ?? "null")

const dataOf = (type: string, caller: unknown): Response.ProviderMetadata => ({
  anthropic: { type, ...(caller === undefined || caller === null ? {} : { caller: json(caller) }) }
})

/** A call that the API executes. */
export const callPart = (
  call: { readonly id: string; readonly name: string; readonly input: unknown; readonly caller?: unknown }
): Response.ToolCallPartEncoded => ({
  type: "tool-call",
  id: call.id,
  name: call.name,
  params: json(call.input),
  providerExecuted: true,
  metadata: dataOf("server_tool_use", call.caller)
})

/** The block with the result of a call. The kinds of results end with `_tool_result`, and so do kinds that come later. */
export const isResult = (block: { readonly type: string }): boolean => block.type.endsWith("_tool_result")

export const resultPart = (
  block: {
    readonly type: string
    readonly tool_use_id?: unknown
    readonly content?: unknown
    readonly caller?: unknown
  },
  nameOf: (id: string) => string | undefined
): Response.ToolCallPartEncoded => {
  const id = String(block.tool_use_id)
  return {
    type: "tool-call",
    id,
    name: nameOf(id) ?? block.type.replace(/_tool_result$/, ""),
    params: json(block.content),
    providerExecuted: true,
    metadata: { ...dataOf(block.type, block.caller), ...ProviderParts.result() }
  }
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

/** A citation as people read it. */
const shown = (citation: object): Citation => {
  const { cited_text: citedText, document_title: document, source, title, url }: {
    readonly cited_text?: unknown
    readonly document_title?: unknown
    readonly source?: unknown
    readonly title?: unknown
    readonly url?: unknown
  } = citation
  const link = [url, source].find((value) => isText(value) && /^https?:/.test(value))
  const name = [title, document].find(isText)
  return {
    ...(isText(link) ? { url: link } : {}),
    ...(isText(name) ? { title: name } : {}),
    ...(isText(citedText) ? { citedText } : {})
  }
}

/** The metadata of a text that has these citations. */
export const citing = (citations: ReadonlyArray<object>): Response.ProviderMetadata =>
  citations.length === 0
    ? {}
    : { anthropic: { citations: json(citations) }, ...ProviderParts.citing(citations.map(shown)) }

export const textBlock = ({ options, text }: Prompt.TextPart): Anthropic.TextBlockParam => ({
  type: "text",
  text,
  // Blocks of an earlier answer of the API.
  ...(isCiting(options)
    ? { citations: options.anthropic.citations as unknown as Array<Anthropic.TextCitationParam> }
    : {})
})

/** Only blocks that the API has made are sent to it. */
export const callBlocks = ({ id, name, options, params }: Prompt.ToolCallPart): ReadonlyArray<Block> => {
  if (!isData(options)) return []
  const { caller } = options.anthropic
  return [
    {
      type: "server_tool_use",
      id,
      name,
      input: params,
      ...(caller === undefined ? {} : { caller })
    } as unknown as Block
  ]
}

export const resultBlocks = ({ id, options, result }: Prompt.ToolResultPart): ReadonlyArray<Block> => {
  if (!isData(options)) return []
  const { caller, type } = options.anthropic
  return [
    { type, tool_use_id: id, content: result, ...(caller === undefined ? {} : { caller }) } as unknown as Block
  ]
}

const resultIdOf = (block: Block): string | undefined =>
  isResult(block) && "tool_use_id" in block ? block.tool_use_id : undefined

const withoutCitations = (block: Block): Block => block.type === "text" ? { type: "text", text: block.text } : block

/**
 * Turns without calls that have no result, and results that have no call: the API refuses both. The log may lack a result that
 * is too large for an event. Then the texts of the turn lose their citations, too. The last turn may end with a call: its
 * answer was paused.
 */
export const withoutHalves = <Turn extends { readonly role: string; readonly content: ReadonlyArray<Block> }>(
  turns: ReadonlyArray<Turn>
): ReadonlyArray<Turn> =>
  turns.map((turn, at) => {
    if (turn.role !== "assistant" || at === turns.length - 1) return turn
    const calls = new Set(turn.content.flatMap((block) => block.type === "server_tool_use" ? [block.id] : []))
    const results = new Set(turn.content.map(resultIdOf).filter(Predicate.isNotUndefined))
    if (calls.size === results.size && [...calls].every((id) => results.has(id))) return turn
    const content = turn.content.filter((block) =>
      block.type === "server_tool_use" ? results.has(block.id) : calls.has(resultIdOf(block) ?? "") || !isResult(block)
    )
    return { ...turn, content: content.map(withoutCitations) }
  })
