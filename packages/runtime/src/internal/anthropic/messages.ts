/** The messages of a prompt as those of the Messages API. */
import type Anthropic from "@anthropic-ai/sdk"
import { Predicate, type Schema } from "effect"
import type { Prompt } from "effect/ai"
import { fileBlock } from "./files.ts"
import * as ServerTools from "./serverTools.ts"

type Block = Anthropic.ContentBlockParam

/** Where a part is in a prompt. */
export interface PartPosition {
  readonly message: number
  readonly part: number
}

export interface Turn {
  readonly role: "user" | "assistant"
  readonly content: Array<Block>
  /** The files of the prompt among the blocks, by the position of the block. */
  readonly files: Map<number, PartPosition>
}

const userBlock = (part: Prompt.UserMessagePart): Block | undefined => {
  if (part.type === "file") return fileBlock(part)
  return part.text.trim() === "" ? undefined : { type: "text", text: part.text }
}

/**
 * Thinking is sent only to the model that signed it: the API refuses thinking without a signature, and thinking that another
 * model has signed.
 */
const reasoningBlocks = (part: Prompt.ReasoningPart, model: string): ReadonlyArray<Block> => {
  const data: Schema.Json | undefined = part.options["anthropic"]
  if (!Predicate.isReadonlyObject(data) || !("model" in data) || data["model"] !== model) return []
  if ("redactedData" in data && typeof data["redactedData"] === "string") {
    return [{ type: "redacted_thinking", data: data["redactedData"] }]
  }
  return "signature" in data && typeof data["signature"] === "string" && data["signature"] !== ""
    ? [{ type: "thinking", thinking: part.text, signature: data["signature"] }]
    : []
}

/** The API accepts only an object. Arguments that `max_tokens` has cut are a text. */
const inputOf = (params: unknown) => Predicate.isReadonlyObject(params) ? params : {}

/**
 * Ids and names with characters that the API accepts, because other providers have other characters. The first valid id is
 * unchanged. Different ids stay different. The result for an id stays the same while the conversation grows.
 */
const makeValid = (first: ReadonlyArray<string> = []) => {
  const given = new Map<string, string>()
  const taken = new Set<string>()
  const valid = (name: string): string => {
    const known = given.get(name)
    if (known !== undefined) return known
    const base = name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 128) || "_"
    let out = base
    for (let n = 2; taken.has(out); n++) out = `${base.slice(0, 120)}_${n}`
    given.set(name, out)
    taken.add(out)
    return out
  }
  for (const name of first) valid(name)
  return valid
}

type Valid = ReturnType<typeof makeValid>

interface Names {
  readonly model: string
  readonly id: Valid
  readonly tool: Valid
}

const assistantBlocks = (message: Prompt.AssistantMessage, { id, model, tool }: Names): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> => {
    switch (part.type) {
      case "text":
        return part.text.trim() === "" ? [] : [ServerTools.textBlock(part)]
      case "reasoning":
        return reasoningBlocks(part, model)
      case "tool-result":
        return ServerTools.resultBlocks(part)
      case "tool-call":
        if (part.providerExecuted) return ServerTools.callBlocks(part)
        return [{ type: "tool_use", id: id(part.id), name: tool(part.name), input: inputOf(part.params) }]
      default:
        return []
    }
  })

const asText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result) ?? "null"

/** The API refuses an error without a text. */
const resultOf = ({ isFailure, result }: Prompt.ToolResultPart): string => {
  const text = asText(result)
  return isFailure && text.trim() === "" ? "(no message)" : text
}

const toolBlocks = (message: Prompt.ToolMessage, id: Valid): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> =>
    part.type === "tool-result"
      ? [{ type: "tool_result", tool_use_id: id(part.id), is_error: part.isFailure, content: resultOf(part) }]
      : []
  )

/** The turns of a conversation while they are made. */
class Turns {
  readonly all: Array<Turn> = []

  /** Consecutive messages of one role become one turn: the API wants the results of parallel calls in one message. */
  add(role: Turn["role"], block: Block, file?: PartPosition): void {
    let turn = this.all.at(-1)
    if (turn?.role !== role) {
      turn = { role, content: [], files: new Map() }
      this.all.push(turn)
    }
    if (file !== undefined) turn.files.set(turn.content.length, file)
    turn.content.push(block)
  }
}

/** `tools` are the names of the tools that are sent, which no other name may become. */
export const toMessages = (prompt: Prompt.Prompt, model: string, tools: ReadonlyArray<string>): {
  readonly system: Array<Anthropic.TextBlockParam>
  readonly turns: ReadonlyArray<Turn>
} => {
  const system: Array<Anthropic.TextBlockParam> = []
  const turns = new Turns()
  const names: Names = { model, id: makeValid(), tool: makeValid(tools) }
  for (const [at, message] of prompt.content.entries()) {
    switch (message.role) {
      case "system":
        if (message.content.trim() !== "") system.push({ type: "text", text: message.content })
        break
      case "user":
        for (const [index, part] of message.content.entries()) {
          const block = userBlock(part)
          const file = part.type === "file" ? { message: at, part: index } : undefined
          if (block !== undefined) turns.add("user", block, file)
        }
        break
      case "assistant":
        for (const block of assistantBlocks(message, names)) turns.add("assistant", block)
        break
      case "tool":
        for (const block of toolBlocks(message, names.id)) turns.add("user", block)
    }
  }
  return { system, turns: ServerTools.withoutHalves(turns.all) }
}
