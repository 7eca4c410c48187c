/** The fake of Anthropic's API with the replies of `FakeReply`, for the contract of models. */
import * as Fake from "@perennial/runtime/FakeAnthropic"
import type { Action, Answer, FailureKind, FakeApi, Reply } from "@perennial/runtime/FakeReply"
import { Effect } from "effect"

const errors: Readonly<Record<Exclude<FailureKind, "refused">, readonly [number, string, string]>> = {
  "rate-limited": [429, "rate_limit_error", "This request would exceed your rate limit."],
  overloaded: [529, "overloaded_error", "Overloaded"],
  internal: [500, "api_error", "Internal server error"],
  unauthorized: [401, "authentication_error", "invalid x-api-key"],
  forbidden: [403, "permission_error", "Your key may not use this model."],
  quota: [400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."],
  "unknown-model": [404, "not_found_error", "model: x"],
  "too-long": [400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"],
  "unreadable-file": [400, "invalid_request_error", "Could not process image"],
  invalid: [400, "invalid_request_error", "x: Extra inputs are not permitted"]
}

const errorOf = (kind: FailureKind) => errors[kind === "refused" ? "invalid" : kind]

const citationOf = ({ title, url }: { readonly url: string; readonly title: string }) => ({
  type: "web_search_result_location",
  cited_text: title,
  encrypted_index: `index of ${url}`,
  title,
  url
})

/** A search is a call that the API executes, and its result. */
const actionsOf = (action: Action, at: number): ReadonlyArray<Fake.Action> => {
  if (!("search" in action)) return [actionOf(action)]
  const { query, sources } = action.search
  const id = `srvtoolu_${at}`
  const content = sources.map(({ title, url }) => ({
    type: "web_search_result",
    url,
    title,
    encrypted_content: `content of ${url}`,
    page_age: null
  }))
  return [
    { serverToolUse: { id, name: "web_search", input: { query } } },
    { serverToolResult: { type: "web_search_tool_result", tool_use_id: id, content } }
  ]
}

const actionOf = (action: Exclude<Action, { readonly search: unknown }>): Fake.Action => {
  if ("text" in action) return { text: action.text, citations: action.citations?.map(citationOf) ?? [] }
  if ("reasoning" in action) return { thinking: action.reasoning, signature: action.state ?? "signature" }
  if ("call" in action) {
    const { args, id, name } = action.call
    return { toolUse: { id, name, input: args } }
  }
  if ("brokenCall" in action) return { cutToolUse: action.brokenCall }
  if ("keepAlive" in action) return { ping: true }
  if ("fail" in action) {
    const [, type, message] = errorOf(action.fail)
    return { error: { type, message } }
  }
  return action
}

const stopReasonOf = ({ actions, finish }: Answer): Pick<Fake.StreamReply, "stopReason"> => {
  if (finish === "length") return { stopReason: "max_tokens" }
  if (finish === "content-filter") return { stopReason: "refusal" }
  return actions.some((action) => "brokenCall" in action) ? { stopReason: "tool_use" } : {}
}

const replyOf = (reply: Reply): Fake.Reply => {
  if ("status" in reply) return reply
  if ("failure" in reply) {
    if (reply.failure === "refused") return { actions: [], stopReason: "refusal" }
    const { retryAfterSeconds: seconds } = reply
    return Fake.errorReply(...errorOf(reply.failure), seconds === undefined ? {} : { "retry-after": String(seconds) })
  }
  const { actions, finish, usage } = reply
  return {
    actions: [...actions.flatMap(actionsOf), ...(finish === "error" ? [actionOf({ fail: "internal" })] : [])],
    ...stopReasonOf(reply),
    ...(usage === undefined ? {} : {
      usage: {
        input_tokens: usage.input - usage.cached,
        cache_read_input_tokens: usage.cached,
        output_tokens: usage.output,
        output_tokens_details: { thinking_tokens: usage.reasoning }
      }
    })
  }
}

const requestOf = (request: Fake.RecordedRequest) => ({ ...request, path: "/v1/messages" })

export const apiOf = (fake: Fake.FakeAnthropic["Service"]): FakeApi => ({
  url: fake.url,
  push: (...replies) => fake.push(...replies.map(replyOf)),
  otherwise: (reply) => fake.otherwise((request) => replyOf(reply(requestOf(request)))),
  requests: Effect.map(fake.requests, (requests) => requests.map(requestOf)),
  nextRequest: Effect.map(fake.nextRequest, requestOf)
})
