/**
 * A provider with another API than Anthropic's: chat completions. It shows what a provider has to do, and that an agent does
 * not depend on one provider. It maps only text and tools.
 */
import { CurrentModelActivity, CurrentModelSettings } from "@perennial/runtime/ModelSettings"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { AiError, LanguageModel, type Prompt, type Response, Tool } from "effect/ai"
import { HttpClient, HttpClientRequest } from "effect/http"

const Chunk = Schema.fromJsonString(Schema.Struct({
  choices: Schema.Array(Schema.Struct({
    delta: Schema.Struct({
      content: Schema.optionalKey(Schema.NullOr(Schema.String)),
      tool_calls: Schema.optionalKey(Schema.Array(Schema.Struct({
        index: Schema.Int,
        id: Schema.optionalKey(Schema.String),
        function: Schema.Struct({
          name: Schema.optionalKey(Schema.String),
          arguments: Schema.optionalKey(Schema.String)
        })
      })))
    }),
    finish_reason: Schema.NullOr(Schema.String)
  })),
  usage: Schema.optionalKey(Schema.NullOr(Schema.Struct({
    prompt_tokens: Schema.Int,
    completion_tokens: Schema.Int,
    prompt_tokens_details: Schema.optionalKey(Schema.Struct({ cached_tokens: Schema.Int }))
  })))
}))
type Usage = Exclude<typeof Chunk.Type["usage"], null | undefined>

const decodeChunk = Schema.decodeEffect(Chunk)
const parseArguments = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

const textOf = (content: ReadonlyArray<{ readonly type: string; readonly text?: string }>): string =>
  content.map((part) => part.type === "text" ? part.text ?? "" : "").join("")

const toMessages = (message: Prompt.Message): ReadonlyArray<object> => {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }]
    case "user":
      return [{ role: "user", content: textOf(message.content) }]
    case "assistant": {
      const calls = message.content.flatMap((part) =>
        part.type === "tool-call"
          ? [{ id: part.id, type: "function", function: { name: part.name, arguments: JSON.stringify(part.params) } }]
          : []
      )
      return [{
        role: "assistant",
        content: textOf(message.content),
        ...(calls.length === 0 ? {} : { tool_calls: calls })
      }]
    }
    case "tool":
      return message.content.flatMap((part) =>
        part.type === "tool-result"
          ? [{ role: "tool", tool_call_id: part.id, content: JSON.stringify(part.result) }]
          : []
      )
  }
}

const finishReasons: Readonly<Record<string, Response.FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  content_filter: "content-filter"
}

/** Decodes one answer, chunk by chunk. */
class Decoder {
  private text = false
  private readonly calls = new Map<number, { id: string; name: string; json: string }>()
  private finish: string | null = null
  private usage: Usage | undefined

  read({ choices, usage }: typeof Chunk.Type): ReadonlyArray<Response.StreamPartEncoded> {
    this.usage = usage ?? this.usage
    return choices.flatMap(({ delta, finish_reason: finish }) => {
      this.finish = finish ?? this.finish
      for (const { function: part, id, index } of delta.tool_calls ?? []) {
        const call = this.calls.get(index) ?? { id: id ?? "", name: part.name ?? "", json: "" }
        this.calls.set(index, { ...call, json: call.json + (part.arguments ?? "") })
      }
      return delta.content === undefined || delta.content === null ? [] : this.delta(delta.content)
    })
  }

  private delta(delta: string): ReadonlyArray<Response.StreamPartEncoded> {
    const start = this.text ? [] : [{ type: "text-start" as const, id: "0" }]
    this.text = true
    return [...start, { type: "text-delta", id: "0", delta }]
  }

  end(): ReadonlyArray<Response.StreamPartEncoded> {
    return [
      ...this.text ? [{ type: "text-end" as const, id: "0" }] : [],
      ...[...this.calls.values()].map(({ id, json, name }) => ({
        type: "tool-call" as const,
        id,
        name,
        params: Option.getOrElse(parseArguments(json), () => json)
      })),
      {
        type: "finish",
        reason: finishReasons[this.finish ?? ""] ?? "unknown",
        usage: {
          inputTokens: {
            total: this.usage?.prompt_tokens,
            uncached: undefined,
            cacheRead: this.usage?.prompt_tokens_details?.cached_tokens,
            cacheWrite: undefined
          },
          outputTokens: { total: this.usage?.completion_tokens, text: undefined, reasoning: undefined }
        }
      }
    ]
  }
}

const failWith = (reason: AiError.AiErrorReason) =>
  AiError.make({ module: "ChatCompletions", method: "streamText", reason })

const network = (description: string) =>
  failWith(new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "", description }))

const fromStatus = (status: number): AiError.AiError => {
  if (status === 401) return failWith(new AiError.AuthenticationError({ kind: "InvalidKey" }))
  if (status === 429) return failWith(new AiError.RateLimitError({}))
  if (status >= 500) return failWith(new AiError.InternalProviderError({ description: String(status) }))
  return failWith(new AiError.InvalidRequestError({ description: String(status) }))
}

export const layer = (options: { readonly url: string; readonly model: string }) =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient

      const request = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions) {
        const { maxTokens, temperature } = yield* CurrentModelSettings
        const tools = asked.tools.map((tool) => ({
          type: "function",
          function: { name: tool.name, parameters: Tool.getJsonSchema(tool) }
        }))
        return HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${options.url}/chat/completions`), {
          model: options.model,
          stream: true,
          messages: asked.prompt.content.flatMap(toMessages),
          ...(temperature === undefined ? {} : { temperature }),
          ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
          ...(tools.length === 0 ? {} : { tools, tool_choice: asked.toolChoice })
        })
      })

      const streamText = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions) {
        const alive = yield* CurrentModelActivity
        const response = yield* client.execute(yield* request(asked)).pipe(
          Effect.mapError((error) => network(error.message))
        )
        if (response.status !== 200) return yield* fromStatus(response.status)
        const decoder = new Decoder()
        let done = false
        const chunks = response.stream.pipe(
          Stream.mapError((error) => network(error.message)),
          Stream.tap(() => Effect.sync(alive)),
          Stream.decodeText(),
          Stream.splitLines,
          Stream.filter((line) => line.startsWith("data: ")),
          Stream.map((line) => line.slice("data: ".length)),
          Stream.takeWhile((data) => {
            done = data === "[DONE]"
            return !done
          }),
          Stream.mapEffect((data) => decodeChunk(data)),
          Stream.catchTag("SchemaError", () => Stream.fail(network("the response is not JSON"))),
          Stream.flatMap((chunk) => Stream.fromArray(decoder.read(chunk)))
        )
        const end = Stream.suspend(() =>
          done ? Stream.fromArray(decoder.end()) : Stream.fail(network("the response ended before [DONE]"))
        )
        return Stream.concat(chunks, end)
      })

      return yield* LanguageModel.make({
        streamText: (asked) => Stream.unwrap(streamText(asked)),
        generateText: () => Effect.die("not needed here")
      })
    })
  )
