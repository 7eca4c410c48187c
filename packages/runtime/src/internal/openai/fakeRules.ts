/**
 * The rules of OpenAI's formats that an agent can easily break. They come from the API's documentation and from error reports
 * of its users, and were not verified against the real API.
 */
import { Option, Predicate, Schema } from "effect"

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

const Item = Schema.Struct({
  type: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String),
  call_id: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String),
  arguments: Schema.optionalKey(Schema.String),
  encrypted_content: Schema.optionalKey(Schema.NullOr(Schema.String)),
  content: Schema.optionalKey(Schema.Unknown)
})
type Item = typeof Item.Type

const ResponsesBody = Schema.Struct({
  model: Schema.NonEmptyString,
  input: Schema.NonEmptyArray(Item),
  stream: Schema.optionalKey(Schema.Boolean),
  store: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  /** Tools that the API executes itself have no name. */
  tools: Schema.optionalKey(
    Schema.Array(Schema.Struct({ type: Schema.String, name: Schema.optionalKey(Schema.String) }))
  )
})

/** What the Responses API knows of its earlier answers. */
export interface Issued {
  /** The model by its encrypted reasoning. */
  readonly models: Map<string, string>
  /** The reasoning item that an item follows, by the id of the item. */
  readonly reasoning: Map<string, string>
  /** Items of answers that were stored. */
  readonly stored: Set<string>
}

const nameProblem = (names: ReadonlyArray<string>): string | undefined => {
  const wrong = names.find((name) => !/^[a-zA-Z0-9_-]{1,64}$/.test(name))
  return wrong === undefined
    ? undefined
    : `Invalid 'tools[].name': string does not match pattern '^[a-zA-Z0-9_-]+$' (${wrong})`
}

const reasoningProblem = (
  items: ReadonlyArray<Item>,
  at: number,
  model: string,
  issued: Issued
): string | undefined => {
  const item = items[at]
  if (item?.type !== "reasoning") {
    const needed = item?.id === undefined ? undefined : issued.reasoning.get(item.id)
    return needed === undefined || items.slice(0, at).some(({ id }) => id === needed)
      ? undefined
      : `Item '${item?.id}' of type '${item?.type}' was provided without its required 'reasoning' item: '${needed}'.`
  }
  const { encrypted_content: content, id } = item
  if (content === undefined || content === null) {
    return `Item with id '${id}' not found. Items are not persisted when \`store\` is set to false.`
  }
  if (issued.models.get(content) !== model) return `The encrypted content for item ${id} could not be verified.`
  const next = items[at + 1]
  return next?.type === "reasoning" || next?.type === "web_search_call" || next?.type === "function_call" ||
      next?.role === "assistant"
    ? undefined
    : `Item '${id}' of type 'reasoning' was provided without its required following item.`
}

const callProblem = (items: ReadonlyArray<Item>, at: number): string | undefined => {
  const item = items[at]
  const called = (type: string) => (other: Item) => other.type === type && other.call_id === item?.call_id
  if (item?.type === "function_call_output" && !items.slice(0, at).some(called("function_call"))) {
    return `No tool call found for function call output with call_id ${item.call_id}.`
  }
  if (item?.type !== "function_call") return undefined
  if (Option.isNone(parseJson(item.arguments ?? ""))) {
    return `Invalid 'input[${at}].arguments': not JSON.`
  }
  return items.slice(at).some(called("function_call_output"))
    ? undefined
    : `No tool output found for function call ${item.call_id}.`
}

/** Why the Responses API would answer 400. The streaming flag and the model, if it would accept the body. */
export const checkResponses = (input: unknown, issued: Issued) => {
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(ResponsesBody)(input))
  if (body === undefined) return "Missing required parameter: 'model' or 'input'."
  const wrong = nameProblem((body.tools ?? []).flatMap(({ name, type }) => type === "function" ? [name ?? ""] : []))
  if (wrong !== undefined) return wrong
  for (const [at, item] of body.input.entries()) {
    if (item.type === "item_reference" && !issued.stored.has(item.id ?? "")) {
      return `Item with id '${item.id}' not found.`
    }
    const problem = reasoningProblem(body.input, at, body.model, issued) ?? callProblem(body.input, at)
    if (problem !== undefined) return problem
    const content = item.content
    if (Array.isArray(content) && content.length === 0) return `Invalid 'input[${at}].content': empty array.`
  }
  return { model: body.model, streamed: body.stream === true, stored: body.store !== false }
}

const ChatMessage = Schema.Struct({
  role: Schema.Literals(["system", "developer", "user", "assistant", "tool"]),
  content: Schema.optionalKey(Schema.Unknown),
  reasoning_content: Schema.optionalKey(Schema.String),
  tool_call_id: Schema.optionalKey(Schema.String),
  tool_calls: Schema.optionalKey(Schema.Array(Schema.Struct({
    id: Schema.String,
    function: Schema.Struct({ name: Schema.String, arguments: Schema.String })
  })))
})

const ChatBody = Schema.Struct({
  model: Schema.NonEmptyString,
  messages: Schema.NonEmptyArray(ChatMessage),
  stream: Schema.optionalKey(Schema.Boolean),
  tools: Schema.optionalKey(Schema.Array(Schema.Struct({ function: Schema.Struct({ name: Schema.String }) })))
})
type ChatBody = typeof ChatBody.Type

const chatProblem = ({ messages, model }: ChatBody, thought: ReadonlyMap<string, string>): string | undefined => {
  let open: ReadonlyArray<string> = []
  for (const [at, message] of messages.entries()) {
    const { content, role, tool_call_id: id = "", tool_calls: calls = [] } = message
    if (role === "tool") {
      if (!open.includes(id)) {
        return "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
      }
      open = open.filter((other) => other !== id)
      continue
    }
    if (open.length > 0) {
      return `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: ${open}.`
    }
    open = calls.map((call) => call.id)
    if (new Set(open).size < open.length) return `messages[${at}]: ids of tool calls must be unique.`
    for (const call of calls) {
      if (Option.isNone(parseJson(call.function.arguments))) return `messages[${at}]: arguments are not JSON.`
      if (thought.get(call.id) === model && message.reasoning_content === undefined) {
        return `Missing \`reasoning_content\` field in the assistant message at message index ${at}.`
      }
    }
    const isBlank = content === null || content === undefined || content === "" ||
      (Array.isArray(content) && content.length === 0)
    if (isBlank && calls.length === 0) return `messages[${at}]: content or tool_calls must be set.`
  }
  return open.length > 0 ? `No tool message for ${open}.` : undefined
}

/**
 * Why a server of chat completions would answer 400. `thought` has the models by the calls for which they have thought: some
 * servers, such as DeepSeek's, want that thinking back.
 */
export const checkChat = (input: unknown, thought: ReadonlyMap<string, string>) => {
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(ChatBody)(input))
  if (body === undefined) return "Missing required parameter: 'model' or 'messages'."
  const problem = nameProblem((body.tools ?? []).map((tool) => tool.function.name)) ?? chatProblem(body, thought)
  if (problem !== undefined) return problem
  return { model: body.model, streamed: body.stream === true }
}

/** A body as it is recorded: an object. */
export const objectOf = (body: unknown): Readonly<Record<string, unknown>> =>
  Predicate.isObject(body) ? Object.fromEntries(Object.entries(body)) : {}
