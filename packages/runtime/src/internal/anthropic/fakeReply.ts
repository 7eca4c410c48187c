/** Replies of the fake of the Messages API, as tests write them. */
import type Anthropic from "@anthropic-ai/sdk"
import type { Effect } from "effect"

/** A part of an answer, or an event in the middle of it. */
export type Action =
  /** `citations` in the form of the API. */
  | { readonly text: ReadonlyArray<string>; readonly citations?: ReadonlyArray<object> }
  /** A call that the API executes itself, and its result, of a type such as `web_search_tool_result`. */
  | { readonly serverToolUse: { readonly id: string; readonly name: string; readonly input: unknown } }
  | { readonly serverToolResult: { readonly type: string; readonly tool_use_id: string; readonly content: unknown } }
  | { readonly thinking: ReadonlyArray<string>; readonly signature: string }
  | { readonly redactedThinking: string }
  | { readonly toolUse: { readonly id: string; readonly name: string; readonly input: unknown } }
  /** The arguments of a call, cut as `max_tokens` would cut them. */
  | { readonly cutToolUse: { readonly id: string; readonly name: string; readonly json: string } }
  /** Milliseconds before each of the following deltas. */
  | { readonly drip: number }
  | { readonly ping: true }
  /** `event: error` in the middle: the status was 200. */
  | { readonly error: { readonly type: string; readonly message: string } }
  /** The connection is reset, or the body ends without `message_stop`. */
  | { readonly cut: "reset" | "end" }
  /** The answer stops, and the connection stays open. */
  | { readonly hang: true }
  /** Bytes as they are. */
  | { readonly raw: string }
  /** An effect of the test, before the next event. */
  | { readonly run: Effect.Effect<unknown> }

/**
 * What servers that speak this API do: blocks of text and thinking have no start; blocks have no end; all blocks have the
 * number 0; the lines `event:` are missing; a second `message_delta` has no stop reason; the stop reason announces calls, and
 * the calls are missing; calls have no id; an empty object precedes the arguments; the arguments come with the start of the
 * block; and a stream was asked for, but the answer comes in one piece.
 */
export type Quirk =
  | "no-starts"
  | "no-ends"
  | "one-index"
  | "no-event-lines"
  | "second-message-delta"
  | "no-calls"
  | "no-ids"
  | "empty-object-first"
  | "arguments-at-start"
  | "in-one-piece"

/** An answer, streamed or in one piece, as the request asks for it. */
export interface StreamReply {
  readonly actions: ReadonlyArray<Action>
  /** After so many events, from 0, the connection is reset, the body ends, or nothing more comes. */
  readonly stop?: { readonly after: number; readonly how: "reset" | "end" | "hang" }
  /** `tool_use` where there is a `toolUse`, else `end_turn`. */
  readonly stopReason?: Anthropic.StopReason
  readonly stopDetails?: Anthropic.RefusalStopDetails
  readonly usage?: Partial<Anthropic.Usage>
  /** How the stream differs from the real API's, as that of a gateway may. */
  readonly quirks?: ReadonlyArray<Quirk>
  /** As proxies and compatible servers send it: without the fields that are null. */
  readonly bare?: boolean
}

/** A response that is no answer. */
export interface HttpReply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** There is no response, or the connection is reset. */
  readonly instead?: "hang" | "reset"
}

export type Reply = StreamReply | HttpReply

/** An error as the API writes it. */
export const errorReply = (
  status: number,
  type: string,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): HttpReply => ({ status, headers, body: { type: "error", error: { type, message } } })

/** 429, to be repeated after so many seconds. */
export const rateLimited = (retryAfterSeconds: number): HttpReply =>
  errorReply(429, "rate_limit_error", "This request would exceed your rate limit.", {
    "retry-after": String(retryAfterSeconds)
  })

/** 529. */
export const overloaded: HttpReply = errorReply(529, "overloaded_error", "Overloaded")

/** 401. */
export const unauthorized: HttpReply = errorReply(401, "authentication_error", "invalid x-api-key")
