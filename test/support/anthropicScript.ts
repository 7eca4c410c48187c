/**
 * The answers of the fake API when it runs as a program. It answers any conversation, calls `current_time` in the first
 * turn and `wait` on request, names the files of a message, and fails on request.
 */
import type Anthropic from "@anthropic-ai/sdk"
import { errorReply, overloaded, rateLimited, type RecordedRequest, type Reply } from "@perennial/runtime/FakeAnthropic"

type Body = Anthropic.MessageCreateParams
type Block = Anthropic.ContentBlockParam

const blocksOf = (message: Anthropic.MessageParam | undefined): ReadonlyArray<Block> =>
  typeof message?.content === "string" ? [{ type: "text", text: message.content }] : message?.content ?? []

const textOf = (blocks: ReadonlyArray<Block>): string =>
  blocks.map((block) => block.type === "text" ? block.text : "").join(" ").trim()

const words = (text: string): ReadonlyArray<string> => text.match(/\S+\s*/g) ?? []

const isFile = (block: Block): boolean => block.type === "image" || block.type === "document"

const mayCall = (body: Body, name: string): boolean =>
  body.tool_choice?.type !== "none" && (body.tools ?? []).some((tool) => "name" in tool && tool.name === name)

const resultOf = (block: Block): ReadonlyArray<string> =>
  block.type === "tool_result"
    ? [typeof block.content === "string" ? block.content : JSON.stringify(block.content)]
    : []

const say = (body: Body, text: string): Reply => ({
  actions: [
    ...body.thinking?.type === "adaptive" || body.thinking?.type === "enabled"
      ? [{ thinking: words("I am a fake and need not think. "), signature: "fake" }]
      : [],
    { drip: 40 },
    { text: words(text) }
  ]
})

const call = (id: string, name: string, input: unknown, text: string): Reply => ({
  actions: [{ drip: 40 }, { text: words(text) }, { toolUse: { id: id.replace("req", "toolu"), name, input } }]
})

/** Faults by the word in brackets in the user's message. A fault of `once` comes once, so that a retry succeeds. */
const once: Readonly<Record<string, Reply>> = {
  overloaded,
  "rate limited": rateLimited(2),
  cut: { actions: [{ drip: 40 }, { text: words("This sentence is never ") }, { cut: "reset" }] }
}
/** Faults that come at every try, so that the task fails. */
const always: Readonly<Record<string, Reply>> = {
  refusal: { actions: [{ text: ["I"] }], stopReason: "refusal" },
  "too long": errorReply(400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"),
  silence: { actions: [{ text: ["..."] }, { hang: true }] }
}

/** Makes the script of one server. It remembers the faults that it has served. */
export const make = (): (request: RecordedRequest) => Reply => {
  const served = new Set<string>()

  const faultFor = (asked: string, turn: number): Reply | undefined => {
    const name = /\[([a-z ]+)\]/.exec(asked)?.[1] ?? ""
    const key = `${turn} ${asked}`
    if (!Object.hasOwn(once, name) || served.has(key)) return always[name]
    if (served.size >= 1_000) served.clear()
    served.add(key)
    return once[name]
  }

  return ({ body, id }) => {
    if (body.model.startsWith("unknown")) return errorReply(404, "not_found_error", `model: ${body.model}`)
    const last = blocksOf(body.messages.at(-1))
    const results = last.flatMap(resultOf)
    const asked = textOf(last)
    if (results.length > 0) return say(body, `The tool said: ${results.join("; ").slice(0, 500)}. That is all I know.`)
    const fault = faultFor(asked, body.messages.length)
    if (fault !== undefined) return fault
    const seconds = /wait\D*(\d{1,2})/i.exec(asked)?.[1]
    if (seconds !== undefined && mayCall(body, "wait")) {
      return call(id, "wait", { seconds: Number(seconds) }, `I wait ${seconds} seconds. `)
    }
    if (body.messages.length === 1 && mayCall(body, "current_time")) {
      return call(id, "current_time", {}, "I look at the clock first. ")
    }
    const files = last.filter(isFile).map((block) => block.type)
    const sent = files.length === 0 ? "" : ` and sent ${files.join(", ")}`
    return say(
      body,
      `I am a fake model. You said "${asked.slice(0, 200)}"${sent}. This is turn ${body.messages.length}.`
    )
  }
}
