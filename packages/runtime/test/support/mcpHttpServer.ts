/**
 * An MCP server over HTTP inside the test, with the deviations of real servers: other revisions of the protocol, unusual
 * lists and results, lost sessions, and streams that end before the result.
 */
import { Effect, Layer, Schema } from "effect"
import { HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"

const Request = Schema.fromJsonString(Schema.Struct({
  id: Schema.optionalKey(Schema.Int),
  method: Schema.String,
  params: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))
}))
type Request = typeof Request.Type

/** The answer to a call: a result, a JSON-RPC error, a raw response, or a stream in parts. */
export type Answer =
  | { readonly result: unknown }
  | { readonly error: unknown }
  | { readonly status: number; readonly body?: string; readonly type?: string }
  /** The events of each response. The first response answers the call, the others answer requests to resume the stream. */
  | { readonly parts: ReadonlyArray<ReadonlyArray<string | { readonly result: unknown }>>; readonly cut?: boolean }

const json = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  new Response(JSON.stringify(body), { headers: { "content-type": "application/json", ...headers } })

export class McpHttpDouble {
  /** The revision of the protocol that the server implements. */
  version = "2025-11-25"
  /** How the server refuses another revision. */
  refuses: "answers-with-its-own" | "400" | "400-with-list" | "error" = "answers-with-its-own"
  initialized: Record<string, unknown> = {}
  tools: ReadonlyArray<unknown> = [{ name: "echo", inputSchema: { type: "object" } }]
  list: Record<string, unknown> = {}
  /** Answers by the name of the tool. Other tools answer with their arguments. */
  answers: Record<string, Answer> = {}
  /** The answer to a request with an unknown session. */
  unknownSession: Answer = { status: 404 }
  /** The requests in order: `initialize 2025-11-25`, `call echo`, `resume 3`, ... */
  readonly asked: Array<string> = []
  #sessions = 0
  #session: string | undefined
  #resumable:
    | { readonly id: number; parts: ReadonlyArray<ReadonlyArray<string | { readonly result: unknown }>> }
    | undefined

  /** Forgets the session, like a restart of the server. */
  forget(): void {
    this.#session = undefined
  }

  readonly layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) => Effect.sync(() => HttpClientResponse.fromWeb(request, this.#handle(request))))
  )

  #handle(request: HttpClientRequest.HttpClientRequest): Response {
    const { headers, method } = request
    if (method === "DELETE") return new Response(null, { status: 204 })
    if (method === "GET") return this.#resume(headers["last-event-id"])
    const bytes = request.body._tag === "Uint8Array" ? request.body.body : new Uint8Array()
    const message = Schema.decodeSync(Request)(new TextDecoder().decode(bytes))
    const refusal = this.#refusal(message, headers["mcp-protocol-version"])
    if (refusal !== undefined) return this.#respond(message, refusal)
    if (message.method !== "initialize" && headers["mcp-session-id"] !== this.#session) {
      this.asked.push("unknown session")
      return this.#respond(message, this.unknownSession)
    }
    return this.#respond(message, this.#answer(message))
  }

  #refusal({ method, params }: Request, header: string | undefined): Answer | undefined {
    const wanted = method === "initialize" ? params?.["protocolVersion"] : header
    if (method === "initialize") this.asked.push(`initialize ${String(wanted)}`)
    if (wanted === this.version || this.refuses === "answers-with-its-own") return undefined
    const error = {
      code: -32_602,
      message: "Unsupported protocol version",
      ...(this.refuses === "400-with-list" ? { data: { supported: [this.version], requested: wanted } } : {})
    }
    if (this.refuses === "error") return { error }
    return { status: 400, body: JSON.stringify({ jsonrpc: "2.0", id: null, error }), type: "application/json" }
  }

  #answer({ method, params }: Request): Answer {
    switch (method) {
      case "initialize":
        this.#session = `session-${++this.#sessions}`
        return {
          result: {
            protocolVersion: this.version,
            capabilities: { tools: {} },
            serverInfo: { name: "double", version: "1.0.0" },
            ...this.initialized
          }
        }
      case "server/discover":
        return {
          result: {
            supportedVersions: [this.version],
            capabilities: { tools: {} },
            _meta: { "io.modelcontextprotocol/serverInfo": { name: "double", version: "1.0.0" } },
            ttlMs: 0,
            cacheScope: "private"
          }
        }
      case "tools/list":
        return { result: { tools: this.tools, ttlMs: 0, cacheScope: "private", ...this.list } }
      case "tools/call": {
        const name = String(params?.["name"])
        this.asked.push(`call ${name}`)
        return this.answers[name] ??
          { result: { content: [{ type: "text", text: JSON.stringify(params?.["arguments"] ?? {}) }] } }
      }
      default:
        return { status: 202 }
    }
  }

  #respond({ id, method }: Request, answer: Answer): Response {
    const session = method === "initialize" && this.#session !== undefined ? { "mcp-session-id": this.#session } : {}
    if ("status" in answer) {
      const empty = answer.body === undefined
      return new Response(empty ? null : answer.body, {
        status: answer.status,
        headers: answer.type === undefined ? {} : { "content-type": answer.type }
      })
    }
    if ("parts" in answer) {
      this.#resumable = { id: id ?? 0, parts: answer.parts.slice(1) }
      return this.#stream(answer.parts[0] ?? [], answer.cut === true)
    }
    return json({ jsonrpc: "2.0", id, ...answer }, session)
  }

  #resume(lastEventId: string | undefined): Response {
    const [next, ...rest] = this.#resumable?.parts ?? []
    this.asked.push(`resume ${lastEventId}`)
    if (this.#resumable === undefined || next === undefined) return new Response(null, { status: 405 })
    this.#resumable = { ...this.#resumable, parts: rest }
    return this.#stream(next, false)
  }

  #stream(events: ReadonlyArray<string | { readonly result: unknown }>, cut: boolean): Response {
    const text = events.map((event) =>
      typeof event === "string"
        ? event
        : `data: ${JSON.stringify({ jsonrpc: "2.0", id: this.#resumable?.id, ...event })}\n\n`
    ).join("")
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(text))
        if (!cut) controller.close()
      },
      pull(controller) {
        if (cut) controller.error(new Error("cut"))
      }
    })
    return new Response(body, { headers: { "content-type": "text/event-stream" } })
  }
}
