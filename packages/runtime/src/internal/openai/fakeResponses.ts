/** Answers of OpenAI's Responses API, as events and in one piece. */
import type { Action, Answer } from "../../FakeReply.ts"
import { event, inPieces, type Step } from "../fakeApi/writer.ts"
import { callOf, streamError, usageOf } from "./fakeWire.ts"

/** An item of an answer. */
export interface Item {
  readonly id: string
  readonly type: "reasoning" | "function_call" | "message" | "web_search_call"
  readonly [field: string]: unknown
}

const annotationsOf = ({ citations = [], text }: Extract<Action, { readonly text: unknown }>) =>
  citations.map((citation) => ({
    type: "url_citation",
    start_index: 0,
    end_index: text.join("").length,
    ...citation
  }))

const itemOf = (action: Action, id: string): Item | undefined => {
  if ("text" in action) {
    const content = [{ type: "output_text", text: action.text.join(""), annotations: annotationsOf(action) }]
    return { id: `msg_${id}`, type: "message", role: "assistant", status: "completed", content }
  }
  if ("reasoning" in action) {
    return {
      id: `rs_${id}`,
      type: "reasoning",
      encrypted_content: action.state ?? `encrypted_${id}`,
      summary: action.reasoning.length === 0 ? [] : [{ type: "summary_text", text: action.reasoning.join("") }]
    }
  }
  if ("search" in action) {
    const { query, sources } = action.search
    const found = sources.map(({ url }) => ({ type: "url", url }))
    return {
      id: `ws_${id}`,
      type: "web_search_call",
      status: "completed",
      action: { type: "search", query, sources: found }
    }
  }
  const call = callOf(action)
  return call === undefined ? undefined : {
    id: `fc_${id}`,
    type: "function_call",
    call_id: call.id,
    name: call.name,
    arguments: call.json,
    status: "completed"
  }
}

/** The items of an answer, with the actions that they come from. */
export const itemsOf = ({ actions }: Answer, responseId: string): ReadonlyArray<readonly [Action, Item]> =>
  actions.flatMap((action, at) => {
    const item = itemOf(action, `${responseId}_${at}`)
    return item === undefined ? [] : [[action, item] as const]
  })

const endOf = (answer: Answer): { readonly type: string; readonly incomplete: string | null } => {
  if (answer.finish === "length") return { type: "response.incomplete", incomplete: "max_output_tokens" }
  if (answer.finish === "content-filter") return { type: "response.incomplete", incomplete: "content_filter" }
  return { type: answer.finish === "error" ? "response.failed" : "response.completed", incomplete: null }
}

const usageFields = (answer: Answer, body: unknown) => {
  const { cached, input, output, reasoning } = usageOf(answer, body)
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning }
  }
}

export interface Context {
  readonly id: string
  readonly model: string
  readonly body: unknown
}

const responseOf = (answer: Answer, { body, id, model }: Context) => ({
  id,
  object: "response",
  created_at: 1,
  model,
  service_tier: null,
  error: answer.finish === "error" ? { code: "server_error", message: "The model failed" } : null,
  incomplete_details: endOf(answer).incomplete === null ? null : { reason: endOf(answer).incomplete },
  usage: usageFields(answer, body)
})

export const whole = (answer: Answer, context: Context) => ({
  ...responseOf(answer, context),
  output: itemsOf(answer, context.id).map(([, item]) => item)
})

export const steps = (answer: Answer, context: Context): ReadonlyArray<Step> => {
  const out: Array<Step> = []
  let number = 0
  const bytes = (type: string, fields: object) => event({ type, sequence_number: number++, ...fields }, type)
  const write = (type: string, fields: object) => void out.push({ write: bytes(type, fields) })
  const piece = (type: string, fields: object) => void out.push({ piece: bytes(type, fields) })
  let at = 0

  const writeItem = (action: Action, item: Item) => {
    const place = { item_id: item.id, output_index: at }
    // The encrypted content of the first event is not the final one.
    const begun = item.type === "reasoning"
      ? { ...item, encrypted_content: "begun", summary: [] }
      : item.type === "message"
      ? { ...item, status: "in_progress", content: [] }
      : item.type === "web_search_call"
      ? { ...item, status: "in_progress" }
      : { ...item, status: "in_progress", arguments: "" }
    write("response.output_item.added", { output_index: at, item: begun })
    if ("text" in action) {
      for (const delta of action.text) {
        piece("response.output_text.delta", { ...place, content_index: 0, delta, logprobs: [] })
      }
      for (const [index, annotation] of annotationsOf(action).entries()) {
        write("response.output_text.annotation.added", {
          ...place,
          content_index: 0,
          annotation_index: index,
          annotation
        })
      }
    } else if ("reasoning" in action && action.reasoning.length > 0) {
      const part = { ...place, summary_index: 0, part: { type: "summary_text", text: "" } }
      write("response.reasoning_summary_part.added", part)
      for (const delta of action.reasoning) {
        piece("response.reasoning_summary_text.delta", { ...place, summary_index: 0, delta })
      }
      write("response.reasoning_summary_part.done", part)
    }
    const call = callOf(action)
    if (call !== undefined) {
      for (const delta of inPieces(call.json)) piece("response.function_call_arguments.delta", { ...place, delta })
      write("response.function_call_arguments.done", { ...place, arguments: call.json })
    }
    write("response.output_item.done", { output_index: at, item })
    at++
  }

  write("response.created", { response: responseOf({ actions: [] }, context) })
  for (const [position, action] of answer.actions.entries()) {
    const item = itemOf(action, `${context.id}_${position}`)
    if (item !== undefined) writeItem(action, item)
    else if ("keepAlive" in action) out.push({ write: ": keep-alive\n\n" })
    else if ("raw" in action) out.push({ write: action.raw })
    else if ("fail" in action) {
      const { code, message, param } = streamError(action.fail)
      return [...out, { end: bytes("error", { code, message, param }) }]
    } else if ("run" in action || "drip" in action || "cut" in action || "hang" in action) out.push(action)
  }
  return [...out, { end: bytes(endOf(answer).type, { response: responseOf(answer, context) }) }]
}
