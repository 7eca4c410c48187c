/**
 * A minimal model API over HTTP: Anthropic's, and under `/v1/responses` OpenAI's. The last message of a request says how many deltas the answer has, and at which interval:
 * `deltas 250 10` means 250 deltas, one every 10 ms, each in its own network write. Any other message gets one delta and no
 * end.
 */
// @effect-diagnostics globalTimers:off
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { serve } from "./ipc.ts"
import { resources } from "./server.ts"

const frame = (event: { readonly type: string; readonly [key: string]: unknown }): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`

const usage = { input_tokens: 10, output_tokens: 1 }

/** An answer on the wire. */
interface Wire {
  readonly begin: string
  readonly delta: string
  readonly end: string
}

const begin = [
  {
    type: "message_start",
    message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, usage }
  },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } }
].map(frame).join("")

const delta = frame({
  type: "content_block_delta",
  index: 0,
  delta: { type: "text_delta", text: "Lorem ipsum dolor " }
})

const end = [
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage },
  { type: "message_stop" }
].map(frame).join("")

const anthropic: Wire = { begin, delta, end }

const item = { id: "msg_1", type: "message", role: "assistant", status: "in_progress", content: [] }
const text = { item_id: "msg_1", output_index: 0, content_index: 0 }
const head = { id: "resp_1", object: "response", created_at: 1, model: "m", service_tier: null }
const counted = {
  input_tokens: 10,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 1,
  output_tokens_details: { reasoning_tokens: 0 }
}

const openai: Wire = {
  begin: [
    { type: "response.created", response: head },
    { type: "response.output_item.added", output_index: 0, item }
  ].map(frame).join(""),
  delta: frame({ type: "response.output_text.delta", ...text, delta: "Lorem ipsum dolor ", logprobs: [] }),
  end: [
    { type: "response.output_item.done", output_index: 0, item: { ...item, status: "completed" } },
    { type: "response.completed", response: { ...head, incomplete_details: null, usage: counted } }
  ].map(frame).join("")
}

const answer = (response: ServerResponse, asked: RegExpExecArray | null, { begin, delta, end }: Wire): void => {
  response.writeHead(200, { "content-type": "text/event-stream", "request-id": "req_1" })
  response.write(begin)
  if (asked === null) return void response.write(delta)
  const [count, pause] = asked.slice(1).map(Number)
  let left = count ?? 0
  const timer = setInterval(() => {
    if (left-- > 0) return void response.write(delta)
    clearInterval(timer)
    response.end(end)
  }, pause)
  response.on("close", () => clearInterval(timer))
}

const server = createServer((request, response) => {
  let body = ""
  request.setEncoding("utf8")
  request.on("data", (chunk: string) => (body += chunk))
  request.on("end", () => {
    const wire = request.url === "/v1/responses" ? openai : anthropic
    answer(response, /deltas (\d+) (\d+)/.exec(body), wire)
  })
})

server.listen(0, "127.0.0.1")
await once(server, "listening")
const { port } = server.address() as AddressInfo

const handlers = { port: () => port, resources }

export type ModelServer = typeof handlers

serve(handlers)
