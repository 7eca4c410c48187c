/**
 * The rules of the Messages API that an agent can easily break. They come from the types and comments of the SDK, and were
 * not verified against the real API.
 */
import { Option, Predicate, Schema } from "effect"
import { fileProblem, Source } from "./fakeFiles.ts"
import * as ServerTools from "./fakeServerTools.ts"
import { schemaProblem } from "./fakeTools.ts"

const cache_control = Schema.optionalKey(Schema.Unknown)

const Block = Schema.Struct({
  type: Schema.String,
  text: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String),
  input: Schema.optionalKey(Schema.Unknown),
  tool_use_id: Schema.optionalKey(Schema.String),
  is_error: Schema.optionalKey(Schema.Boolean),
  content: Schema.optionalKey(Schema.Unknown),
  signature: Schema.optionalKey(Schema.String),
  data: Schema.optionalKey(Schema.String),
  citations: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Unknown))),
  caller: Schema.optionalKey(Schema.Unknown),
  source: Schema.optionalKey(Source),
  cache_control
})
type Block = typeof Block.Type

const Tool = Schema.Struct({
  /** Of tools that the API executes itself, such as `web_search_20250305`. */
  type: Schema.optionalKey(Schema.String),
  name: Schema.String,
  input_schema: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  cache_control
})

const Body = Schema.Struct({
  model: Schema.NonEmptyString,
  max_tokens: Schema.Natural,
  messages: Schema.NonEmptyArray(Schema.Struct({
    role: Schema.Literals(["user", "assistant"]),
    content: Schema.Union([Schema.String, Schema.Array(Block)])
  })),
  system: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Block)])),
  tools: Schema.optionalKey(Schema.Array(Tool)),
  cache_control,
  temperature: Schema.optionalKey(Schema.Unknown),
  tool_choice: Schema.optionalKey(Schema.Struct({ type: Schema.String })),
  thinking: Schema.optionalKey(Schema.Struct({
    type: Schema.Literals(["adaptive", "disabled", "enabled", "between_tools"]),
    budget_tokens: Schema.optionalKey(Schema.Int)
  })),
  output_config: Schema.optionalKey(Schema.Struct({
    effort: Schema.optionalKey(Schema.Literals(["low", "medium", "high", "xhigh", "max"]))
  }))
})
type Body = typeof Body.Type

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

const settingsProblem = (
  { max_tokens: maxTokens, temperature, thinking, tool_choice: choice }: Body
): string | undefined => {
  const isForced = choice?.type === "any" || choice?.type === "tool"
  if (isForced && (thinking?.type ?? "disabled") !== "disabled") {
    return "Thinking may not be enabled when tool_choice forces tool use."
  }
  if (maxTokens < 1) return "max_tokens: Input should be greater than or equal to 1"
  if (temperature !== undefined) return "temperature: Extra inputs are not permitted"
  if (thinking?.type !== "enabled") return undefined
  const budget = thinking.budget_tokens ?? 0
  if (budget < 1024) return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
  return budget >= maxTokens ? "`max_tokens` must be greater than `thinking.budget_tokens`" : undefined
}

const idsOf = (turn: Turn | undefined, type: "tool_use" | "tool_result"): ReadonlyArray<string> =>
  (turn?.content ?? []).flatMap((block) =>
    block.type === type ? [(type === "tool_use" ? block.id : block.tool_use_id) ?? ""] : []
  )

const isName = (name: string | undefined): boolean => /^[a-zA-Z0-9_-]{1,128}$/.test(name ?? "")
const isId = (id: string | undefined): boolean => /^[a-zA-Z0-9_-]+$/.test(id ?? "")
const isEmpty = (content: unknown): boolean =>
  content === undefined || (typeof content === "string" && content.trim() === "") ||
  (Array.isArray(content) && content.length === 0)

const toolBlockProblem = (block: Block): string | undefined => {
  if (block.type === "tool_use") {
    if (!isId(block.id)) return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    if (!isName(block.name)) return "tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"
    return Predicate.isObject(block.input) ? undefined : "tool_use.input: Input should be a valid dictionary"
  }
  if (block.type !== "tool_result") return undefined
  if (!isId(block.tool_use_id)) return "tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'"
  return block.is_error === true && isEmpty(block.content)
    ? "tool_result: content cannot be empty if `is_error` is true"
    : undefined
}

const toolsProblem = ({ tools = [] }: Body): string | undefined => {
  for (const [at, { input_schema: schema = {}, name, type }] of tools.entries()) {
    if (!isName(name)) return `tools.${at}.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`
    if (tools.findIndex((tool) => tool.name === name) < at) return "tools: Tool names must be unique."
    // Tools that the API executes itself have no schema.
    if (type !== undefined && type !== "custom") continue
    const problem = schemaProblem(schema)
    if (problem !== undefined) return `tools.${at}.${problem}`
  }
  return undefined
}

const cacheProblem = ({ cache_control: top, messages, system = [], tools = [] }: Body): string | undefined => {
  const blocks = [system, ...messages.map(({ content }) => content)].flatMap((content) =>
    typeof content === "string" ? [] : content
  )
  const count = [{ cache_control: top }, ...tools, ...blocks].filter((marked) => marked.cache_control).length
  return count > 4 ? `A maximum of 4 blocks with cache_control may be provided. Found ${count}.` : undefined
}

/** With `thinking: enabled` a turn in which tools are used, over several requests, begins with thinking. */
const thinkingProblem = ({ thinking }: Body, turns: ReadonlyArray<Turn>): string | undefined => {
  if (thinking?.type !== "enabled") return undefined
  let at = turns.findLastIndex(({ role }) => role === "assistant")
  if (idsOf(turns[at], "tool_use").length === 0) return undefined
  while (at >= 2 && turns[at - 1]?.content.every(({ type }) => type === "tool_result") === true) at -= 2
  const type = turns[at]?.content[0]?.type
  return type === "thinking" || type === "redacted_thinking"
    ? undefined
    : `messages.${at}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${type}\``
}

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

const blockProblem = (turn: Turn, at: number, { model }: Body, answered: Answered): string | undefined => {
  const { signedBy } = answered
  for (const [index, block] of turn.content.entries()) {
    const path = `messages.${at}.content.${index}`
    const file = fileProblem(block)
    // The API says of some unreadable images only that there is one.
    if (file !== undefined) return /^[a-z]+\.source/.test(file) ? `${path}.${file}` : file
    if (block.source !== undefined && turn.role === "assistant") {
      return `${path}: ${block.type} blocks are for user turns`
    }
    const signature = block.type === "redacted_thinking" ? block.data : block.signature
    const signer = signature === undefined ? undefined : signedBy.get(signature)
    if (signer !== undefined && signer !== model) return `${path}: Invalid \`signature\` in \`${block.type}\` block`
    const tool = toolBlockProblem(block) ?? ServerTools.problemOf(block, answered.serverTools)
    if (tool !== undefined) return `${path}.${tool}`
  }
  return undefined
}

/** The text of an assistant's turn, by which a paused answer is recognized. */
export const textOf = (content: ReadonlyArray<{ readonly type: string; readonly text?: string }>): string =>
  content.map((block) => block.type === "text" ? block.text ?? "" : "").join("")

/** The real parser takes no half of a surrogate pair, in a value or in a key. */
const isWellFormed = (json: unknown): boolean => {
  if (typeof json === "string") return json.isWellFormed()
  if (typeof json !== "object" || json === null) return true
  return Object.entries(json).every(([key, value]) => key.isWellFormed() && isWellFormed(value))
}

/** The models by the signatures of their thinking, also of redacted thinking. */
type SignedBy = ReadonlyMap<string, string>

/** What the API knows from its earlier answers. */
export interface Answered {
  /** Texts of answers that ended with `pause_turn`: a conversation may end with one of them. */
  readonly paused: ReadonlySet<string>
  readonly signedBy: SignedBy
  readonly serverTools: ServerTools.Issued
}

/** Why the API would answer 400 to this body. Undefined if the API would accept it. */
export const problemOf = (
  input: unknown,
  answered: Answered = { paused: new Set(), signedBy: new Map(), serverTools: new Set() }
): string | undefined => {
  if (!isWellFormed(input)) return "The request body is not valid JSON: no low surrogate in string"
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(Body)(input))
  if (body === undefined) return "model, max_tokens and messages: Field required"
  const wrong = settingsProblem(body) ?? toolsProblem(body) ?? cacheProblem(body)
  if (wrong !== undefined) return wrong
  const turns: Array<Turn> = []
  for (const [at, { content, role }] of body.messages.entries()) {
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content
    const turn = { role, content: [...blocks] }
    const problem = emptyProblem(turn, at) ?? blockProblem(turn, at, body, answered)
    if (problem !== undefined) return problem
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else turns.push(turn)
  }
  if (turns[0]?.role !== "user") return "messages: first message must use the \"user\" role"
  const end = turns.at(-1)
  if (end?.role === "assistant" && !answered.paused.has(textOf(end.content))) {
    return "This model does not support assistant message prefill. The conversation must end with a user message."
  }
  const seen = new Set<string>()
  for (const [at, turn] of turns.entries()) {
    const problem = toolProblem(turns, at, seen) ??
      (at === turns.length - 1 ? undefined : ServerTools.turnProblem(turn.content, at))
    if (problem !== undefined) return problem
  }
  return thinkingProblem(body, turns)
}
