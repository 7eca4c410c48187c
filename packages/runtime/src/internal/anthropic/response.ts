/** Responses of the Messages API as parts of `effect/ai`. */
import type Anthropic from "@anthropic-ai/sdk"
import { Option, Schema } from "effect"
import type { Response } from "effect/ai"
import * as ModelError from "../../ModelError.ts"
import * as ServerTools from "./serverTools.ts"

const finishReasons: Record<Anthropic.StopReason, Response.FinishReason> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool-calls",
  pause_turn: "pause",
  refusal: "content-filter"
}

interface Tokens {
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
  thinking: number | undefined
}

const noTokens = (): Tokens => ({ input: 0, output: 0, cacheRead: 0, cacheWrite: 0, thinking: undefined })

/** Proxies and compatible servers leave out fields that the API always sends. */
type Lean<A> = { readonly [Key in keyof A]?: A[Key] | null | undefined }

/** Usage is cumulative. A field that is null does not change it. */
const readUsage = (tokens: Tokens, usage: Lean<Anthropic.Usage | Anthropic.MessageDeltaUsage> | undefined) => {
  tokens.input = usage?.input_tokens ?? tokens.input
  tokens.cacheRead = usage?.cache_read_input_tokens ?? tokens.cacheRead
  tokens.cacheWrite = usage?.cache_creation_input_tokens ?? tokens.cacheWrite
  tokens.thinking = usage?.output_tokens_details?.thinking_tokens ?? tokens.thinking
  tokens.output = usage?.output_tokens ?? tokens.output
}

type Stop = Lean<Pick<Anthropic.Message, "stop_reason" | "stop_details">>

/** The answer was cut because the prompt and the answer together fill the context window of the model. */
export const isContextFull = (stop: Stop): boolean => stop.stop_reason === "model_context_window_exceeded"

const finishPart = (tokens: Tokens, stop: Stop): Response.FinishPartEncoded => ({
  type: "finish",
  // A reason that this version does not know is `other`.
  reason: stop.stop_reason ? finishReasons[stop.stop_reason] ?? "other" : "unknown",
  usage: {
    inputTokens: {
      uncached: tokens.input,
      total: tokens.input + tokens.cacheRead + tokens.cacheWrite,
      cacheRead: tokens.cacheRead,
      cacheWrite: tokens.cacheWrite
    },
    outputTokens: {
      total: tokens.output,
      reasoning: tokens.thinking,
      text: tokens.thinking === undefined ? undefined : tokens.output - tokens.thinking
    }
  },
  metadata: {
    anthropic: { stopReason: stop.stop_reason ?? null },
    ...(stop.stop_details?.category ? ModelError.refusal(stop.stop_details.category) : {})
  }
})

type OpenBlock =
  | { readonly kind: "text"; readonly id: string; readonly citations: Array<object> }
  | { readonly kind: "reasoning"; readonly id: string; signature: string }
  | {
    readonly kind: "tool" | "server-tool"
    readonly id: string
    readonly name: string
    json: string
    readonly input: unknown
    readonly caller: unknown
  }

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

/**
 * The arguments of a call. JSON that `max_tokens` has cut is passed on as a string, which the schema of the parameters
 * refuses. Some servers send the arguments with the start of the block, as JSON in a string, or behind an empty object.
 */
const paramsOf = ({ input, json }: Extract<OpenBlock, { readonly json: string }>): unknown => {
  if (json === "") return typeof input === "string" ? Option.getOrElse(parseJson(input), () => input) : input ?? {}
  const behindEmpty = () => json.startsWith("{}") ? parseJson(json.slice(2)) : Option.none()
  return Option.getOrElse(Option.orElse(parseJson(json), behindEmpty), () => json)
}

/** The start of a block, of which a server may have left out any field. */
interface StartedBlock {
  readonly type: string
  readonly text?: string | null
  readonly thinking?: string | null
  readonly signature?: string | null
  readonly data?: string | null
  readonly id?: string | null
  readonly name?: string | null
  readonly input?: unknown
  readonly caller?: unknown
  readonly tool_use_id?: string | null
  readonly content?: unknown
  readonly citations?: ReadonlyArray<object> | null
}

type Parts = ReadonlyArray<Response.StreamPartEncoded>

/** The response does not follow the protocol, or this module has a bug. Another try would not help. */
export class Unreadable extends Error {}

const reading = <A>(what: string, read: () => A): A => {
  try {
    return read()
  } catch (cause) {
    throw new Unreadable(`${what} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Turns the events of one streamed response into parts. Unknown events and blocks are ignored. */
export class ResponseDecoder {
  /** The response is complete: `message_stop` was read. */
  done = false
  private readonly model: string
  private readonly blocks = new Map<number, OpenBlock>()
  private readonly tokens = noTokens()
  private stop: Stop = {}
  /** The names of the tools that the API executes, by their calls. */
  private readonly serverTools = new Map<string, string>()
  /** How many blocks have begun. The numbers of the server need not be different. */
  private started = 0

  /** `model` is the model that was asked: it signs its thinking. */
  constructor(model: string) {
    this.model = model
  }

  get contextFull(): boolean {
    return this.done && isContextFull(this.stop)
  }

  read(event: Anthropic.RawMessageStreamEvent): Parts {
    return reading(`the event "${event?.type}"`, () => this.parts(event))
  }

  private parts(event: Anthropic.RawMessageStreamEvent): Parts {
    switch (event.type) {
      case "content_block_delta":
        return this.delta(event)
      case "content_block_start":
        return this.start(event.index, event.content_block)
      case "content_block_stop":
        return this.end(event.index)
      case "message_start":
        readUsage(this.tokens, event.message?.usage)
        return [{ type: "response-metadata", id: event.message?.id, modelId: event.message?.model }]
      case "message_delta":
        readUsage(this.tokens, event.usage)
        // A later event that has no reason leaves the reason as it is.
        this.stop = {
          stop_reason: event.delta?.stop_reason ?? this.stop.stop_reason,
          stop_details: event.delta?.stop_details ?? this.stop.stop_details
        }
        return []
      case "message_stop": {
        const open = [...this.blocks.keys()].flatMap((index) => this.end(index))
        this.done = true
        return [...open, finishPart(this.tokens, this.stop)]
      }
      default:
        return []
    }
  }

  private delta({ delta, index }: Anthropic.RawContentBlockDeltaEvent): Parts {
    const block = this.blocks.get(index)
    // Some servers leave out the start of a block, or begin another one under the same number.
    if (delta.type === "text_delta" && block?.kind !== "text") {
      return [...this.start(index, { type: "text" }), ...this.text(index, delta.text)]
    }
    if (delta.type === "thinking_delta" && block?.kind !== "reasoning") {
      return [...this.start(index, { type: "thinking" }), ...this.text(index, delta.thinking)]
    }
    switch (delta.type) {
      case "text_delta":
        return this.text(index, delta.text)
      case "thinking_delta":
        return this.text(index, delta.thinking)
      case "signature_delta":
        if (block?.kind === "reasoning") block.signature += delta.signature
        return []
      case "citations_delta":
        if (block?.kind === "text") block.citations.push(delta.citation)
        return []
      case "input_json_delta":
        if ((block?.kind !== "tool" && block?.kind !== "server-tool") || !delta.partial_json) return []
        block.json += delta.partial_json
        return block.kind === "server-tool"
          ? []
          : [{ type: "tool-params-delta", id: block.id, delta: delta.partial_json }]
      default:
        return []
    }
  }

  private text(index: number, delta: string | null | undefined): Parts {
    const block = this.blocks.get(index)
    if (!delta || (block?.kind !== "text" && block?.kind !== "reasoning")) return []
    return [{ type: block.kind === "text" ? "text-delta" : "reasoning-delta", id: block.id, delta }]
  }

  private start(index: number, content: StartedBlock): Parts {
    const before = this.end(index)
    const id = String(this.started++)
    switch (content.type) {
      case "text":
        this.blocks.set(index, { kind: "text", id, citations: [...content.citations ?? []] })
        return [...before, { type: "text-start", id }, ...this.text(index, content.text)]
      case "thinking":
        this.blocks.set(index, { kind: "reasoning", id, signature: content.signature ?? "" })
        return [...before, { type: "reasoning-start", id }, ...this.text(index, content.thinking)]
      case "redacted_thinking": {
        const metadata = { anthropic: { redactedData: content.data ?? "", model: this.model } }
        return [...before, { type: "reasoning-start", id }, { type: "reasoning-end", id, metadata }]
      }
      case "tool_use": {
        const tool = { id: content.id ?? "", name: content.name ?? "" }
        this.blocks.set(index, { kind: "tool", ...tool, json: "", input: content.input, caller: undefined })
        return [...before, { type: "tool-params-start", ...tool }]
      }
      case "server_tool_use": {
        const tool = { id: content.id ?? "", name: content.name ?? "", caller: content.caller }
        this.serverTools.set(tool.id, tool.name)
        this.blocks.set(index, { kind: "server-tool", ...tool, json: "", input: content.input })
        return before
      }
      default:
        return ServerTools.isResult(content)
          ? [...before, ServerTools.resultPart(content, (id) => this.serverTools.get(id))]
          : before
    }
  }

  private end(index: number): Parts {
    const block = this.blocks.get(index)
    this.blocks.delete(index)
    switch (block?.kind) {
      case "text":
        return [{ type: "text-end", id: block.id, metadata: ServerTools.citing(block.citations) }]
      case "reasoning":
        return [{
          type: "reasoning-end",
          id: block.id,
          metadata: { anthropic: { signature: block.signature, model: this.model } }
        }]
      case "tool":
        return [
          { type: "tool-params-end", id: block.id },
          { type: "tool-call", id: block.id, name: block.name, params: paramsOf(block) }
        ]
      case "server-tool":
        return [ServerTools.callPart({ ...block, input: paramsOf(block) })]
      default:
        return []
    }
  }
}

const partOf = (block: Anthropic.ContentBlock, model: string): ReadonlyArray<Response.PartEncoded> => {
  switch (block.type) {
    case "text":
      return [{ type: "text", text: block.text, metadata: ServerTools.citing(block.citations ?? []) }]
    case "thinking":
      return [{
        type: "reasoning",
        text: block.thinking,
        metadata: { anthropic: { signature: block.signature, model } }
      }]
    case "redacted_thinking":
      return [{ type: "reasoning", text: "", metadata: { anthropic: { redactedData: block.data, model } } }]
    case "tool_use":
      return [{ type: "tool-call", id: block.id, name: block.name, params: block.input }]
    // Calls that the API executed, and their results, are not declared. Only streams may have such parts.
    default:
      return []
  }
}

/** The parts of a response in one piece. */
export const toParts = (message: Anthropic.Message, model: string): Array<Response.PartEncoded> =>
  reading("the message", () => {
    const tokens = noTokens()
    readUsage(tokens, message.usage)
    return [
      { type: "response-metadata", id: message.id, modelId: message.model },
      ...message.content.flatMap((block) => partOf(block, model)),
      finishPart(tokens, message)
    ]
  })
