/** Answers and errors of Gemini's API. */
import type { Action, Answer, Failure, FailureKind, HttpReply } from "../../FakeReply.ts"
import { event, type Step } from "../fakeApi/writer.ts"

interface GoogleError {
  readonly code: number
  readonly status: string
  readonly message: string
}

const errors: Readonly<Record<FailureKind, GoogleError>> = {
  "rate-limited": {
    code: 429,
    status: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota. Quota exceeded for metric: generate_requests_per_minute."
  },
  overloaded: { code: 503, status: "UNAVAILABLE", message: "The model is overloaded. Please try again later." },
  internal: { code: 500, status: "INTERNAL", message: "An internal error has occurred." },
  unauthorized: {
    code: 400,
    status: "INVALID_ARGUMENT",
    message: "API key not valid. Please pass a valid API key."
  },
  forbidden: { code: 403, status: "PERMISSION_DENIED", message: "Your project has been denied access." },
  quota: {
    code: 429,
    status: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota, please check your plan and billing details."
  },
  "unknown-model": {
    code: 404,
    status: "NOT_FOUND",
    message: "models/x is not found for API version v1beta, or is not supported for generateContent."
  },
  "too-long": {
    code: 400,
    status: "INVALID_ARGUMENT",
    message: "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
  },
  refused: { code: 400, status: "INVALID_ARGUMENT", message: "content_policy" },
  "unreadable-file": { code: 400, status: "INVALID_ARGUMENT", message: "Unable to process input image." },
  invalid: { code: 400, status: "INVALID_ARGUMENT", message: "Invalid JSON payload received." }
}

/** Gemini reports a prompt that it refuses as an answer without candidates. */
const blocked = {
  promptFeedback: { blockReason: "PROHIBITED_CONTENT" },
  usageMetadata: { promptTokenCount: 1, totalTokenCount: 1 }
}

export const failure = ({ failure: kind, retryAfterSeconds }: Failure, streamed: boolean): HttpReply => {
  if (kind === "refused") {
    return streamed
      ? { status: 200, headers: { "content-type": "text/event-stream" }, body: event(blocked) }
      : { status: 200, body: blocked }
  }
  const details = retryAfterSeconds === undefined
    ? []
    : [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retryAfterSeconds}s` }]
  return { status: errors[kind].code, body: { error: { ...errors[kind], details } } }
}

export const invalid = (message: string): HttpReply => ({
  status: 400,
  body: { error: { code: 400, status: "INVALID_ARGUMENT", message } }
})

/** A part of a content, as the answer has it. */
export interface Part {
  readonly text?: string
  readonly thought?: true
  readonly functionCall?: { readonly name: string; readonly args: unknown }
  readonly thoughtSignature?: string
}

/** The signature of thoughts comes with the next call, or with an empty text at the end. */
const signed = (answer: Answer): ReadonlyArray<Action | { readonly signature: string }> => {
  const out: Array<Action | { readonly signature: string }> = []
  let pending: string | undefined
  for (const action of answer.actions) {
    if ("reasoning" in action) pending = action.state ?? pending
    if ("call" in action && pending !== undefined && action.call.state === undefined) {
      out.push({ call: { ...action.call, state: pending } })
      pending = undefined
    } else out.push(action)
  }
  return pending === undefined ? out : [...out, { signature: pending }]
}

const partsOf = (action: Action | { readonly signature: string }): ReadonlyArray<Part> => {
  if ("text" in action) return action.text.map((text) => ({ text }))
  if ("reasoning" in action) return action.reasoning.map((text) => ({ text, thought: true }))
  if ("signature" in action) return [{ text: "", thoughtSignature: action.signature }]
  if (!("call" in action)) return []
  const { args, name, state } = action.call
  return [{ functionCall: { name, args }, ...(state === undefined ? {} : { thoughtSignature: state }) }]
}

/** All parts of an answer. */
export const allParts = (answer: Answer): ReadonlyArray<Part> => signed(answer).flatMap(partsOf)

const finishOf = ({ actions, finish }: Answer): string => {
  if (finish === "length") return "MAX_TOKENS"
  if (finish === "content-filter") return "SAFETY"
  return finish === "error" || actions.some((action) => "brokenCall" in action) ? "MALFORMED_FUNCTION_CALL" : "STOP"
}

const usageFields = ({ usage }: Answer, body: unknown) => {
  const { cached, input, output, reasoning } = usage ??
    { input: Math.ceil(JSON.stringify(body).length / 4), cached: 0, output: 1, reasoning: 0 }
  return {
    promptTokenCount: input,
    candidatesTokenCount: output - reasoning,
    thoughtsTokenCount: reasoning,
    cachedContentTokenCount: cached,
    totalTokenCount: input + output
  }
}

/** What a search of the API has found comes with the end of the answer. */
const groundingOf = ({ actions }: Answer) => {
  const searches = actions.flatMap((action) => "search" in action ? [action.search] : [])
  return searches.length === 0 ? {} : {
    groundingMetadata: {
      webSearchQueries: searches.map(({ query }) => query),
      groundingChunks: searches.flatMap(({ sources }) =>
        sources.map(({ title, url }) => ({ web: { uri: url, title } }))
      )
    }
  }
}

const contentOf = (parts: ReadonlyArray<Part>) => ({ index: 0, content: { role: "model", parts } })

export const whole = (answer: Answer, body: unknown, responseId: string) => ({
  responseId,
  candidates: [{ ...contentOf(allParts(answer)), finishReason: finishOf(answer), ...groundingOf(answer) }],
  usageMetadata: usageFields(answer, body)
})

export const steps = (answer: Answer, body: unknown, responseId: string): ReadonlyArray<Step> => {
  const out: Array<Step> = []
  for (const action of signed(answer)) {
    for (const part of partsOf(action)) out.push({ piece: event({ responseId, candidates: [contentOf([part])] }) })
    if ("keepAlive" in action) out.push({ write: ": keep-alive\n\n" })
    else if ("raw" in action) out.push({ write: action.raw })
    else if ("fail" in action) return [...out, { end: event({ error: errors[action.fail] }) }]
    else if ("run" in action || "drip" in action || "cut" in action || "hang" in action) out.push(action)
  }
  const end = { candidates: [{ ...contentOf([]), finishReason: finishOf(answer), ...groundingOf(answer) }] }
  return [...out, { end: event({ responseId, ...end, usageMetadata: usageFields(answer, body) }) }]
}
