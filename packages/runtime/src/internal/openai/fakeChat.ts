/** Answers of OpenAI's chat completions, as chunks and in one piece. Reasoning is written as compatible servers write it. */
import type { Answer } from "../../FakeReply.ts"
import { event, inPieces, type Step } from "../fakeApi/writer.ts"
import type { Context } from "./fakeResponses.ts"
import { callOf, streamError, usageOf } from "./fakeWire.ts"

const finishOf = ({ actions, finish }: Answer): string => {
  if (finish === "length") return "length"
  if (finish === "content-filter") return "content_filter"
  if (finish === "error") return "error"
  return actions.some((action) => callOf(action) !== undefined) ? "tool_calls" : "stop"
}

const usageFields = (answer: Answer, body: unknown) => {
  const { cached, input, output, reasoning } = usageOf(answer, body)
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning }
  }
}

const toolCall = (call: { readonly id: string; readonly name: string; readonly json: string }) => ({
  id: call.id,
  type: "function",
  function: { name: call.name, arguments: call.json }
})

export const whole = (answer: Answer, { body, id, model }: Context) => {
  const { actions } = answer
  const calls = actions.flatMap((action) => callOf(action) ?? [])
  const reasoning = actions.flatMap((action) => "reasoning" in action ? action.reasoning : []).join("")
  const message = {
    role: "assistant",
    content: actions.flatMap((action) => "text" in action ? action.text : []).join(""),
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(toolCall) })
  }
  return {
    id,
    object: "chat.completion",
    created: 1,
    model,
    choices: [{ index: 0, message, finish_reason: finishOf(answer) }],
    usage: usageFields(answer, body)
  }
}

export const steps = (answer: Answer, { body, id, model }: Context): ReadonlyArray<Step> => {
  const out: Array<Step> = []
  const chunk = (delta: object, finish: string | null = null, more: object = {}) =>
    event({
      id,
      object: "chat.completion.chunk",
      created: 1,
      model,
      choices: [{ index: 0, delta, finish_reason: finish }],
      ...more
    })
  let calls = 0
  out.push({ write: chunk({ role: "assistant", content: "" }) })
  for (const action of answer.actions) {
    const call = callOf(action)
    if (call !== undefined) {
      const index = calls++
      const [first = "", ...rest] = inPieces(call.json)
      out.push({ write: chunk({ tool_calls: [{ index, ...toolCall({ ...call, json: first }) }] }) })
      for (const json of rest) out.push({ piece: chunk({ tool_calls: [{ index, function: { arguments: json } }] }) })
    } else if ("text" in action) {
      for (const content of action.text) out.push({ piece: chunk({ content }) })
    } else if ("reasoning" in action) {
      for (const reasoning_content of action.reasoning) out.push({ piece: chunk({ reasoning_content }) })
    } else if ("keepAlive" in action) out.push({ write: ": keep-alive\n\n" })
    else if ("raw" in action) out.push({ write: action.raw })
    else if ("fail" in action) return [...out, { end: event({ error: streamError(action.fail) }) }]
    else if ("run" in action || "drip" in action || "cut" in action || "hang" in action) out.push(action)
  }
  out.push({ write: chunk({}, finishOf(answer), { usage: usageFields(answer, body) }) })
  return [...out, { end: event("[DONE]") }]
}
