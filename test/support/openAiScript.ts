/**
 * The answers of the fake of OpenAI's API when it runs as a program, in both formats. It answers any conversation, calls
 * `current_time` in the first turn and `wait` on request, and fails on request.
 */
import type { Body } from "@perennial/runtime/FakeOpenAi"
import type { Answer, RecordedRequest, Reply } from "@perennial/runtime/FakeReply"
import { Schema } from "effect"

const Content = Schema.Union([
  Schema.String,
  Schema.Array(Schema.Struct({ type: Schema.String, text: Schema.optionalKey(Schema.String) }))
])

/** What both formats have in common: messages in chat completions, items in the Responses API. */
const Item = Schema.Struct({
  role: Schema.optionalKey(Schema.String),
  type: Schema.optionalKey(Schema.String),
  content: Schema.optionalKey(Schema.NullOr(Content)),
  output: Schema.optionalKey(Schema.Unknown)
})
type Item = typeof Item.Type

const Tools = Schema.Array(Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  function: Schema.optionalKey(Schema.Struct({ name: Schema.String }))
}))

const itemsOf = Schema.decodeUnknownSync(Schema.Array(Item))
const toolsOf = Schema.decodeUnknownSync(Tools)

const words = (text: string): ReadonlyArray<string> => text.match(/\S+\s*/g) ?? []

const textOf = ({ content }: Item): string => {
  if (content === undefined || content === null) return ""
  return typeof content === "string" ? content : content.map(({ text = "" }) => text).join(" ").trim()
}

/** The result of a tool, if the item is one. */
const resultOf = (item: Item): string | undefined => {
  if (item.role === "tool") return textOf(item)
  if (item.type !== "function_call_output") return undefined
  return typeof item.output === "string" ? item.output : JSON.stringify(item.output)
}

const say = (text: string): Answer => ({ actions: [{ drip: 40 }, { text: words(text) }] })

const call = (id: string, name: string, args: Schema.Json, text: string): Answer => ({
  actions: [{ drip: 40 }, { text: words(text) }, { call: { id, name, args } }]
})

/** Faults by the word in brackets in the user's message. A fault of `once` comes once, so that a retry succeeds. */
const once: Readonly<Record<string, Reply>> = {
  overloaded: { failure: "overloaded" },
  "rate limited": { failure: "rate-limited", retryAfterSeconds: 2 },
  cut: { actions: [{ drip: 40 }, { text: words("This sentence is never ") }, { cut: "reset" }] }
}
/** Faults that come at every try, so that the task fails. */
const always: Readonly<Record<string, Reply>> = {
  refusal: { actions: [{ text: ["I"] }], finish: "content-filter" },
  "too long": { failure: "too-long" },
  silence: { actions: [{ text: ["..."] }, { hang: true }] }
}

/** Makes the script of one server. It remembers the faults that it has served. */
export const make = (): (request: RecordedRequest<Body>) => Reply => {
  const served = new Set<string>()
  let count = 0

  const faultFor = (asked: string, turn: number): Reply | undefined => {
    const name = /\[([a-z ]+)\]/.exec(asked)?.[1] ?? ""
    const key = `${turn} ${asked}`
    if (!Object.hasOwn(once, name) || served.has(key)) return always[name]
    if (served.size >= 1_000) served.clear()
    served.add(key)
    return once[name]
  }

  return ({ body }) => {
    if (String(body["model"]).startsWith("unknown")) return { failure: "unknown-model" }
    const items = itemsOf(body["input"] ?? body["messages"])
    const users = items.filter(({ role }) => role === "user")
    const asked = textOf(users.at(-1) ?? {})
    const after = items.slice(items.findLastIndex(({ role }) => role === "user") + 1)
    const results = after.flatMap((item) => resultOf(item) ?? [])
    if (results.length > 0) return say(`The tool said: ${results.join("; ").slice(0, 500)}. That is all I know.`)
    const fault = faultFor(asked, users.length)
    if (fault !== undefined) return fault
    const tools = body["tool_choice"] === "none"
      ? []
      : toolsOf(body["tools"] ?? []).map((tool) => tool.function?.name ?? tool.name)
    const seconds = /wait\D*(\d{1,2})/i.exec(asked)?.[1]
    const id = `call_${++count}`
    if (seconds !== undefined && tools.includes("wait")) {
      return call(id, "wait", { seconds: Number(seconds) }, `I wait ${seconds} seconds. `)
    }
    if (users.length === 1 && tools.includes("current_time")) {
      return call(id, "current_time", {}, "I look at the clock first. ")
    }
    return say(`I am a fake model. You said "${asked.slice(0, 200)}". This is turn ${users.length}.`)
  }
}
