/**
 * The rules of the Messages API that an agent most easily breaks. From the types and comments of the SDK; not verified
 * against the real API.
 */
import { Option, Schema } from "effect"

const Block = Schema.Struct({
  type: Schema.String,
  text: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String),
  tool_use_id: Schema.optionalKey(Schema.String),
  signature: Schema.optionalKey(Schema.String)
})
type Block = typeof Block.Type

const Body = Schema.Struct({
  model: Schema.NonEmptyString,
  max_tokens: Schema.Natural,
  messages: Schema.NonEmptyArray(Schema.Struct({
    role: Schema.Literals(["user", "assistant"]),
    content: Schema.Union([Schema.String, Schema.Array(Block)])
  })),
  temperature: Schema.optionalKey(Schema.Unknown)
})

interface Turn {
  readonly role: "user" | "assistant"
  readonly content: Array<Block>
}

const emptyProblem = (turn: Turn, at: number): string | undefined => {
  if (turn.content.length === 0) return `messages.${at}: content must not be empty`
  if (turn.content.some((block) => block.type === "text" && (block.text ?? "").trim() === "")) {
    return `messages.${at}: text content blocks must contain non-whitespace text`
  }
  return turn.content.some((block) => block.type === "thinking" && (block.signature ?? "") === "")
    ? `messages.${at}: thinking.signature: Field required`
    : undefined
}

const idsOf = (turn: Turn | undefined, type: "tool_use" | "tool_result"): ReadonlyArray<string> =>
  (turn?.content ?? []).flatMap((block) =>
    block.type === type ? [(type === "tool_use" ? block.id : block.tool_use_id) ?? ""] : []
  )

const toolProblem = (turns: ReadonlyArray<Turn>, at: number, seen: Set<string>): string | undefined => {
  const turn = turns[at]
  const uses = turn?.role === "assistant" ? idsOf(turn, "tool_use") : []
  for (const id of uses) {
    if (seen.has(id)) return `messages.${at}: \`tool_use\` ids must be unique`
    seen.add(id)
  }
  const answered = idsOf(turns[at + 1], "tool_result")
  const missing = uses.filter((id) => !answered.includes(id))
  if (missing.length > 0) {
    return `messages.${at}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing}`
  }
  const results = idsOf(turn, "tool_result")
  const asked = idsOf(turns[at - 1], "tool_use")
  const orphan = results.find((id) => !asked.includes(id))
  if (orphan !== undefined) {
    return `messages.${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${orphan}`
  }
  if (new Set(results).size < results.length) return `messages.${at}: each tool_use must have a single result`
  const first = turn?.content.findIndex((block) => block.type !== "tool_result") ?? -1
  const last = turn?.content.findLastIndex((block) => block.type === "tool_result") ?? -1
  return first !== -1 && first < last ? `messages.${at}: tool_result blocks must come first` : undefined
}

/** What the API would answer with 400; nothing if it would accept the body. */
export const problemOf = (input: unknown): string | undefined => {
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(Body)(input))
  if (body === undefined) return "model, max_tokens and messages: Field required"
  if (body.temperature !== undefined) return "temperature: Extra inputs are not permitted"
  const turns: Array<Turn> = []
  for (const [at, { content, role }] of body.messages.entries()) {
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content
    const problem = emptyProblem({ role, content: [...blocks] }, at)
    if (problem !== undefined) return problem
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else turns.push({ role, content: [...blocks] })
  }
  if (turns[0]?.role !== "user") return "messages: first message must use the \"user\" role"
  if (turns.at(-1)?.role === "assistant") {
    return "This model does not support assistant message prefill. The conversation must end with a user message."
  }
  const seen = new Set<string>()
  for (const at of turns.keys()) {
    const problem = toolProblem(turns, at, seen)
    if (problem !== undefined) return problem
  }
  return undefined
}
