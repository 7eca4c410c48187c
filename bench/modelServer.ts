/**
 * A minimal model API over HTTP. The last message of a request says how many deltas the answer has, and at which interval:
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

const answer = (response: ServerResponse, asked: RegExpExecArray | null): void => {
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
  request.on("end", () => answer(response, /deltas (\d+) (\d+)/.exec(body)))
})

server.listen(0, "127.0.0.1")
await once(server, "listening")
const { port } = server.address() as AddressInfo

const handlers = { port: () => port, resources }

export type ModelServer = typeof handlers

serve(handlers)
