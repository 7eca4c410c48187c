/** Answers of the Messages API, as JSON and as server-sent events, from a list of actions. */
// @effect-diagnostics nodeBuiltinImport:off
import type Anthropic from "@anthropic-ai/sdk"
import { Data, Effect } from "effect"
import type { ServerResponse } from "node:http"
import type { Action, Quirk, StreamReply } from "./fakeReply.ts"

const usageOf = (reply: StreamReply, body: Anthropic.MessageCreateParams, output: number): Anthropic.Usage => ({
  input_tokens: Math.ceil(JSON.stringify(body.messages).length / 4),
  output_tokens: output,
  cache_creation: null,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  inference_geo: null,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: "standard",
  speed: null,
  ...reply.usage
})

const stopReason = (reply: StreamReply): Anthropic.StopReason =>
  reply.stopReason ?? (reply.actions.some((action) => "toolUse" in action) ? "tool_use" : "end_turn")

const messageStart = (reply: StreamReply, body: Anthropic.MessageCreateParams, requestId: string) => ({
  id: requestId.replace("req", "msg"),
  type: "message",
  role: "assistant",
  model: body.model,
  content: [] as Array<unknown>,
  container: null,
  diagnostics: null,
  stop_reason: null as Anthropic.StopReason | null,
  stop_sequence: null,
  stop_details: null as Anthropic.RefusalStopDetails | null,
  usage: usageOf(reply, body, 1)
})

/** The answer in one piece. */
export const wholeReply = Effect.fnUntraced(function*(
  reply: StreamReply,
  body: Anthropic.MessageCreateParams,
  requestId: string
) {
  const message = messageStart(reply, body, requestId)
  for (const action of reply.actions) {
    if ("text" in action) {
      message.content.push({ type: "text", text: action.text.join(""), citations: action.citations ?? null })
    } else if ("serverToolUse" in action) {
      message.content.push({ type: "server_tool_use", ...action.serverToolUse, caller: { type: "direct" } })
    } else if ("serverToolResult" in action) {
      message.content.push({ ...action.serverToolResult, caller: { type: "direct" } })
    } else if ("thinking" in action) {
      message.content.push({ type: "thinking", thinking: action.thinking.join(""), signature: action.signature })
    } else if ("toolUse" in action) {
      message.content.push({ type: "tool_use", ...action.toolUse, caller: { type: "direct" } })
    } else if ("run" in action) yield* action.run
    else if ("hang" in action) return yield* Effect.never
  }
  return { ...message, stop_reason: stopReason(reply), stop_details: reply.stopDetails ?? null }
})

/** In three pieces, after an empty one, as the API divides it. */
const jsonDeltas = (json: string): ReadonlyArray<string> => {
  const size = Math.max(1, Math.ceil(json.length / 3))
  return ["", json.slice(0, size), json.slice(size, 2 * size), json.slice(2 * size)].filter((piece, at) =>
    at === 0 || piece !== ""
  )
}

interface BlockEvents {
  readonly isTool?: true
  readonly start: unknown
  readonly deltas: ReadonlyArray<unknown>
}

const toolBlock = (id: string, name: string, json: string, has: HasQuirk): BlockEvents => {
  const atStart = has("arguments-at-start")
  const pieces = atStart ? [] : has("empty-object-first") ? ["{}", json] : jsonDeltas(json)
  return {
    isTool: true,
    start: {
      type: "tool_use",
      id: has("no-ids") ? null : id,
      name,
      input: atStart ? json : {},
      caller: { type: "direct" }
    },
    deltas: pieces.map((partial_json) => ({ type: "input_json_delta", partial_json }))
  }
}

type HasQuirk = (quirk: Quirk) => boolean

const blockOf = (action: Action, has: HasQuirk): BlockEvents | undefined => {
  if ("text" in action) {
    return {
      start: { type: "text", text: "", citations: null },
      deltas: [
        ...(action.citations ?? []).map((citation) => ({ type: "citations_delta", citation })),
        ...action.text.map((text) => ({ type: "text_delta", text }))
      ]
    }
  }
  if ("thinking" in action) {
    return {
      start: { type: "thinking", thinking: "", signature: "" },
      deltas: [
        ...action.thinking.map((thinking) => ({ type: "thinking_delta", thinking })),
        { type: "signature_delta", signature: action.signature }
      ]
    }
  }
  if ("redactedThinking" in action) {
    return { start: { type: "redacted_thinking", data: action.redactedThinking }, deltas: [] }
  }
  if ("toolUse" in action) {
    return has("no-calls")
      ? { start: { type: "text", text: "", citations: null }, deltas: [] }
      : toolBlock(action.toolUse.id, action.toolUse.name, JSON.stringify(action.toolUse.input), has)
  }
  if ("serverToolUse" in action) {
    const { id, input, name } = action.serverToolUse
    const block = toolBlock(id, name, JSON.stringify(input), () => false)
    return { ...block, start: { type: "server_tool_use", id, name, input: {}, caller: { type: "direct" } } }
  }
  if ("serverToolResult" in action) {
    return { start: { ...action.serverToolResult, caller: { type: "direct" } }, deltas: [] }
  }
  if ("cutToolUse" in action) {
    return toolBlock(action.cutToolUse.id, action.cutToolUse.name, action.cutToolUse.json, has)
  }
  return undefined
}

/** Ends a connection early. */
const stopNow = Effect.fnUntraced(function*(response: ServerResponse, how: "reset" | "end" | "hang") {
  if (how === "hang") return yield* Effect.never
  if (how === "end") return response.end()
  // The client must have read the bytes that were written before.
  yield* Effect.sleep(5)
  return response.socket?.resetAndDestroy()
})

class Stopped extends Data.TaggedError("Stopped")<{ readonly how: "reset" | "end" | "hang" }> {}

/** Streams the answer. It is interrupted when the client closes the connection. */
export const streamReply = (
  response: ServerResponse,
  reply: StreamReply,
  body: Anthropic.MessageCreateParams,
  requestId: string
) =>
  writeReply(response, reply, body, requestId).pipe(
    Effect.catchTag("Stopped", ({ how }) => stopNow(response, how))
  )

const writeReply = Effect.fnUntraced(function*(
  response: ServerResponse,
  reply: StreamReply,
  body: Anthropic.MessageCreateParams,
  requestId: string
) {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "request-id": requestId })
  response.socket?.setNoDelay(true)
  response.flushHeaders()
  const write = (bytes: string) =>
    Effect.callback<void>((resume) => {
      if (response.write(bytes)) resume(Effect.void)
      else response.once("drain", () => resume(Effect.void))
    })
  let sent = 0
  const stop = Effect.suspend(() =>
    reply.stop !== undefined && sent === reply.stop.after ? Effect.fail(new Stopped(reply.stop)) : Effect.void
  )
  const has: HasQuirk = (quirk) => reply.quirks?.includes(quirk) === true
  const notNull = (_: string, value: unknown) => value === null && reply.bare === true ? undefined : value
  const send = (type: string, data: object = {}) =>
    write(`${has("no-event-lines") ? "" : `event: ${type}\n`}data: ${JSON.stringify({ type, ...data }, notNull)}\n\n`)
      .pipe(
        Effect.tap(() => Effect.sync(() => sent++)),
        Effect.andThen(stop)
      )
  let drip = 0
  let output = 0
  let index = 0
  const sendBlock = Effect.fnUntraced(function*(block: BlockEvents) {
    if (!has("no-starts") || block.isTool) yield* send("content_block_start", { index, content_block: block.start })
    for (const delta of block.deltas) {
      if (drip > 0) yield* Effect.sleep(drip)
      output++
      yield* send("content_block_delta", { index, delta })
    }
    if (!has("no-ends")) yield* send("content_block_stop", { index })
    if (!has("one-index")) index++
  })

  yield* stop
  yield* send("message_start", { message: messageStart(reply, body, requestId) })
  yield* send("ping")
  for (const action of reply.actions) {
    const block = blockOf(action, has)
    if (block !== undefined) yield* sendBlock(block)
    else if ("drip" in action) drip = action.drip
    else if ("ping" in action) yield* send("ping")
    else if ("raw" in action) yield* write(action.raw)
    else if ("run" in action) yield* action.run
    else if ("hang" in action) return yield* stopNow(response, "hang")
    else if ("cut" in action) return yield* stopNow(response, action.cut)
    else if ("error" in action) {
      yield* send("error", { error: action.error, request_id: requestId })
      return response.end()
    }
  }
  yield* send("message_delta", {
    delta: {
      stop_reason: stopReason(reply),
      stop_sequence: null,
      container: null,
      stop_details: reply.stopDetails ?? null
    },
    usage: usageOf(reply, body, output)
  })
  if (has("second-message-delta")) {
    yield* send("message_delta", { delta: { stop_reason: null, stop_details: null }, usage: null })
  }
  yield* send("message_stop")
  return response.end()
})
