/**
 * The rules of the Messages API for tools that it executes itself, and for citations. They are reported, not verified against
 * the real API.
 */
import type { Action } from "./fakeReply.ts"

interface Block {
  readonly type: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
  readonly tool_use_id?: string
  readonly content?: unknown
  readonly citations?: ReadonlyArray<unknown> | null
}

/** What the API has encrypted: the results of its tools, and citations of them, as texts. */
export type Issued = ReadonlySet<string>

const isResult = ({ type }: Block): boolean => type.endsWith("_tool_result")

/** What the API knows again of an answer. */
export const issuedBy = (action: Action): ReadonlyArray<string> => {
  if ("serverToolResult" in action) {
    return [JSON.stringify([action.serverToolResult.tool_use_id, action.serverToolResult.content])]
  }
  return "text" in action ? (action.citations ?? []).map((citation) => JSON.stringify(citation)) : []
}

/** Why the API refuses a block: it is not what the API has issued. */
export const problemOf = (block: Block, issued: Issued): string | undefined => {
  if (isResult(block) && !issued.has(JSON.stringify([block.tool_use_id, block.content]))) {
    return `${block.type}.content: Invalid \`encrypted_content\` in \`${block.type}\` block`
  }
  const citation = (block.citations ?? []).find((citation) => !issued.has(JSON.stringify(citation)))
  return citation === undefined ? undefined : "citations: Invalid `encrypted_index` in citation"
}

/** Why the API refuses a turn: each call needs its result in the same turn, and each result its call. */
export const turnProblem = (content: ReadonlyArray<Block>, at: number): string | undefined => {
  const calls = content.flatMap((block) => block.type === "server_tool_use" ? [block.id ?? ""] : [])
  const results = content.flatMap((block) => isResult(block) ? [block.tool_use_id ?? ""] : [])
  const open = calls.find((id) => !results.includes(id))
  if (open !== undefined) {
    return `messages.${at}: \`server_tool_use\` ids were found without a corresponding result block: ${open}`
  }
  const orphan = results.find((id) => !calls.includes(id))
  return orphan === undefined
    ? undefined
    : `messages.${at}: unexpected \`tool_use_id\` found in a result block: ${orphan}`
}
