/**
 * A language model that follows a script, for tests and for `DemoModel`. It uses no network. Its delays follow `Clock`, so
 * that a test controls them.
 *
 * @since 0.1.0
 */
import { type Array, Cause, Context, type Duration, Effect, Layer, Stream } from "effect"
import { AiError, LanguageModel, type Prompt, type Response } from "effect/ai"
import { CurrentModelSettings, type ModelSettings } from "./ModelSettings.ts"

/**
 * One action of the model in an answer: a delta of text (consecutive strings belong to one block), thinking, a tool call, a
 * pause, a failure, an effect of the test, silence, or an unusual end.
 *
 * @since 0.1.0
 * @category models
 */
export type Action =
  | string
  | { readonly thinking: ReadonlyArray<string> }
  /** Without an `id` the call gets the id `call_<n>`; `n` counts the calls of the conversation. */
  | { readonly tool: string; readonly params?: unknown; readonly id?: string | undefined }
  | { readonly sleep: Duration.Input }
  /** A pause before each of the following deltas. */
  | { readonly drip: Duration.Input }
  | { readonly fail: AiError.AiErrorReason }
  | { readonly run: Effect.Effect<unknown> }
  | { readonly never: true }
  | {
    readonly finish: Response.FinishReason
    readonly usage?: { readonly input?: number | undefined; readonly output?: number | undefined } | undefined
  }

/**
 * One answer of the model.
 *
 * @since 0.1.0
 * @category models
 */
export type Turn = ReadonlyArray<Action>

/**
 * A request that the model got.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScriptedRequest {
  readonly prompt: Prompt.Prompt
  /** Names of the tools that were offered. */
  readonly tools: ReadonlyArray<string>
  readonly toolChoice: LanguageModel.ProviderOptions["toolChoice"]
  readonly settings: ModelSettings
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ScriptOptions {
  /** Answers, taken in order. */
  readonly turns?: ReadonlyArray<Turn> | undefined
  /** Answers when no turn is left. Without it such a request fails. */
  readonly otherwise?: ((request: ScriptedRequest) => Turn) | undefined
}

/**
 * The script of the model that was built together with it.
 *
 * @since 0.1.0
 * @category services
 */
export class Script extends Context.Service<Script, {
  /** Adds answers at the end of the script. */
  readonly push: (...turns: ReadonlyArray<Turn>) => Effect.Effect<void>
  /** The last 100 requests, oldest first. */
  readonly requests: Effect.Effect<ReadonlyArray<ScriptedRequest>>
}>()("@perennial/runtime/ScriptedModel/Script") {}

/**
 * A scripted model and its script.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: ScriptOptions = {}): Layer.Layer<LanguageModel.LanguageModel | Script> =>
  Layer.effectContext(Effect.suspend(() => {
    const turns: Array<Turn> = [...(options.turns ?? [])]
    const requests: Array<ScriptedRequest> = []

    const next = Effect.fnUntraced(function*(asked: LanguageModel.ProviderOptions, method: string) {
      const settings = yield* CurrentModelSettings
      const { prompt, toolChoice } = asked
      const request = { prompt, toolChoice, tools: asked.tools.map((tool) => tool.name), settings }
      requests.push(request)
      if (requests.length > 100) requests.shift()
      const turn = turns.shift() ?? options.otherwise?.(request)
      if (turn !== undefined) return turn
      return yield* failure(method, new AiError.UnknownError({ description: "the script has no turn left" }))
    })

    const play = (asked: LanguageModel.ProviderOptions, method: string) =>
      Stream.fromPull(Effect.map(next(asked, method), (turn) => new Playback(asked.prompt, turn).pull))

    return LanguageModel.make({
      streamText: (asked) => play(asked, "streamText"),
      generateText: (asked) => Effect.map(Stream.runCollect(play(asked, "generateText")), whole)
    }).pipe(Effect.map((model) =>
      Context.make(LanguageModel.LanguageModel, model).pipe(Context.add(Script, {
        push: (...more) => Effect.sync(() => void turns.push(...more)),
        requests: Effect.sync(() => requests.slice())
      }))
    ))
  }))

/**
 * Splits text into words with the space behind them: deltas as a real model streams them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const words = (text: string): ReadonlyArray<string> => text.match(/\S+\s*/g) ?? []

const failure = (method: string, reason: AiError.AiErrorReason) =>
  Effect.fail(AiError.make({ module: "ScriptedModel", method, reason }))

/** One token for 4 characters. */
const estimate = (characters: number): number => Math.ceil(characters / 4)

const callsIn = (prompt: Prompt.Prompt): number => {
  let count = 0
  for (const message of prompt.content) {
    if (message.role === "assistant") { for (const part of message.content) if (part.type === "tool-call") count++ }
  }
  return count
}

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>

type Pull = Effect.Effect<Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>, AiError.AiError | Cause.Done>

/** One answer while it is played. */
class Playback {
  private blocks = 0
  private openText: string | undefined
  private drip: Duration.Input | undefined
  private written = 0
  private calls: number
  private called = false
  private end: Extract<Action, { readonly finish: unknown }> | undefined
  private next = 0
  private readonly prompt: Prompt.Prompt
  private readonly turn: Turn

  constructor(prompt: Prompt.Prompt, turn: Turn) {
    this.prompt = prompt
    this.turn = turn
    this.calls = callsIn(prompt)
  }

  private dripping(parts: Parts): Pull {
    return this.drip === undefined ? Effect.succeed(parts) : Effect.as(Effect.sleep(this.drip), parts)
  }

  private afterText(parts: Parts): Parts {
    if (this.openText === undefined) return parts
    const id = this.openText
    this.openText = undefined
    return [{ type: "text-end", id }, ...parts]
  }

  private text(delta: string): Parts {
    this.written += delta.length
    if (this.openText !== undefined) return [{ type: "text-delta", id: this.openText, delta }]
    const id = this.openText = String(this.blocks++)
    return [{ type: "text-start", id }, { type: "text-delta", id, delta }]
  }

  private thinking(deltas: ReadonlyArray<string>): Parts {
    const id = String(this.blocks++)
    this.written += deltas.join("").length
    return this.afterText([
      { type: "reasoning-start", id },
      ...deltas.map((delta) => ({ type: "reasoning-delta" as const, id, delta })),
      { type: "reasoning-end", id, metadata: { anthropic: { signature: "scripted" } } }
    ])
  }

  private call(action: Extract<Action, { readonly tool: string }>): Parts {
    this.called = true
    const id = action.id ?? `call_${++this.calls}`
    const params = action.params ?? {}
    return this.afterText([
      { type: "tool-params-start", id, name: action.tool },
      { type: "tool-params-delta", id, delta: JSON.stringify(params) },
      { type: "tool-params-end", id },
      { type: "tool-call", id, name: action.tool, params }
    ])
  }

  private action(action: Action): Pull {
    if (typeof action === "string") return this.dripping(this.text(action))
    if ("thinking" in action) return this.dripping(this.thinking(action.thinking))
    if ("tool" in action) return this.dripping(this.call(action))
    if ("sleep" in action) return Effect.andThen(Effect.sleep(action.sleep), this.pull)
    if ("run" in action) return Effect.andThen(action.run, this.pull)
    if ("never" in action) return Effect.never
    if ("fail" in action) return failure("streamText", action.fail)
    if ("drip" in action) this.drip = action.drip
    else this.end = action
    return this.pull
  }

  private finish(): Parts {
    const input = this.end?.usage?.input ?? estimate(JSON.stringify(this.prompt.content).length)
    const total = this.end?.usage?.output ?? estimate(this.written)
    return this.afterText([{
      type: "finish",
      reason: this.end?.finish ?? (this.called ? "tool-calls" : "stop"),
      usage: {
        inputTokens: { total: input, uncached: input, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total, text: undefined, reasoning: undefined }
      }
    }])
  }

  /** The parts of the next action. Each chunk has one delta, as one network read would. */
  readonly pull: Pull = Effect.suspend(() => {
    const at = this.next++
    const action = this.turn[at]
    if (action !== undefined) return this.action(action)
    return at === this.turn.length ? Effect.succeed(this.finish()) : Cause.done()
  })
}

/** The parts of an answer that is not streamed. */
const whole = (parts: ReadonlyArray<Response.StreamPartEncoded>): Array<Response.PartEncoded> => {
  const out: Array<Response.PartEncoded> = []
  let text = ""
  for (const part of parts) {
    if (part.type === "text-delta") text += part.delta
    else if (part.type === "text-end") {
      out.push({ type: "text", text })
      text = ""
    } else if (part.type === "tool-call" || part.type === "finish") out.push(part)
  }
  return out
}
