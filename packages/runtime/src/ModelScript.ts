/**
 * Scripts for `ScriptedModel` as plain text, for demonstrations and tests.
 *
 * Lines are text, streamed word by word. A line of `---` begins the next answer. Lines that begin with `#` are comments,
 * those with `@` instructions: `@think <text>`, `@tool <name> <JSON>`, `@sleep <duration>`, `@pace <duration>` (before
 * each word from here on), `@fail <reason> <duration>`, `@finish <reason>`, `@silence`. A backslash before the first
 * character of a line makes it text.
 *
 * @since 0.1.0
 */
import { Duration, Effect, Layer, Option, Result, Schema } from "effect"
import { AiError, type LanguageModel, type Prompt, Response } from "effect/ai"
import { contextExceeded } from "./ModelError.ts"
import * as ScriptedModel from "./ScriptedModel.ts"

/**
 * Why a script is not valid, and in which line (from 1).
 *
 * @since 0.1.0
 * @category errors
 */
export class ScriptError extends Schema.TaggedError<ScriptError>()("ScriptError", {
  line: Schema.Natural,
  problem: Schema.String
}) {
  override get message() {
    return `Line ${this.line} of the script ${this.problem}.`
  }
}

type Parsed<A> = Result.Result<A, string>

const failures: Readonly<Record<string, (retryAfter: Duration.Duration | undefined) => AiError.AiErrorReason>> = {
  overloaded: () => new AiError.InternalProviderError({ description: "scripted" }),
  "rate-limited": (retryAfter) => new AiError.RateLimitError({ retryAfter }),
  unreachable: () =>
    new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "", description: "scripted" }),
  unauthorized: () => new AiError.AuthenticationError({ kind: "InvalidKey" }),
  quota: () => new AiError.QuotaExhaustedError({}),
  "too-long": () => new AiError.InvalidRequestError({ constraint: contextExceeded })
}

const oneOf = (names: ReadonlyArray<string>): string => names.join(", ")

const durationOf = (text: string): Parsed<Duration.Duration> =>
  Result.fromOption(
    // Its format is checked there.
    Duration.fromInput(text as Duration.Input),
    () => `has no duration in "${text}": write it like 2 seconds or 50 millis`
  )

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Json))

const toolOf = (rest: string): Parsed<ScriptedModel.Action> => {
  const [tool = "", ...json] = rest.split(/ (.*)/s)
  const params = json[0] === undefined ? Option.some({}) : parseJson(json[0])
  if (tool === "") return Result.fail("names no tool: write @tool <name> <JSON>")
  return Option.isNone(params)
    ? Result.fail(`has arguments of ${tool} that are not JSON`)
    : Result.succeed({ tool, params: params.value })
}

const failOf = (rest: string): Parsed<ScriptedModel.Action> => {
  const [name = "", ...after] = rest.split(/ (.*)/s)
  const reason = Object.hasOwn(failures, name) ? failures[name] : undefined
  if (reason === undefined) {
    return Result.fail(`has no reason to fail in "${name}": use one of ${oneOf(Object.keys(failures))}`)
  }
  const wait = after[0]
  if (wait === undefined) return Result.succeed({ fail: reason(undefined) })
  return Result.map(durationOf(wait), (duration) => ({ fail: reason(duration) }))
}

const finishReasons = Response.FinishReason.literals

const finishOf = (rest: string): Parsed<ScriptedModel.Action> => {
  const finish = finishReasons.find((reason) => reason === rest)
  return finish === undefined
    ? Result.fail(`has no reason to finish in "${rest}": use one of ${oneOf(finishReasons)}`)
    : Result.succeed({ finish })
}

const instructions: Readonly<Record<string, (rest: string) => Parsed<ScriptedModel.Action>>> = {
  think: (rest) => Result.succeed({ thinking: ScriptedModel.words(rest) }),
  tool: toolOf,
  sleep: (rest) => Result.map(durationOf(rest), (sleep) => ({ sleep })),
  pace: (rest) => Result.map(durationOf(rest), (drip) => ({ drip })),
  fail: failOf,
  finish: finishOf,
  silence: () => Result.succeed({ never: true })
}

const instructionOf = (line: string): Parsed<ScriptedModel.Action> => {
  const [name = "", ...rest] = line.slice(1).split(/ (.*)/s)
  const parse = Object.hasOwn(instructions, name) ? instructions[name] : undefined
  return parse === undefined
    ? Result.fail(`has an unknown instruction, @${name}: use one of @${oneOf(Object.keys(instructions))}`)
    : parse((rest[0] ?? "").trim())
}

/** The answers of a script while it is read. */
class Reader {
  readonly turns: Array<ScriptedModel.Turn> = []
  private actions: Array<ScriptedModel.Action> = []
  private text: Array<string> = []

  read(line: string): Parsed<void> {
    if (line.startsWith("#")) return Result.void
    if (line.trim() === "---") {
      this.endTurn()
      return Result.void
    }
    if (!line.startsWith("@")) {
      this.text.push(line.startsWith("\\") ? line.slice(1) : line)
      return Result.void
    }
    return Result.map(instructionOf(line.trimEnd()), (action) => {
      this.endText()
      this.actions.push(action)
    })
  }

  /** Blank lines around text are ignored. After a pause, text continues in a new line. */
  private endText(): void {
    const text = this.text.join("\n").replace(/^(\s*\n)+|\s+$/g, "")
    this.text = []
    if (text === "") return
    const before = this.actions.findLast((action) =>
      typeof action === "string" || "thinking" in action || "tool" in action
    )
    if (typeof before === "string") this.actions.push("\n")
    this.actions.push(...ScriptedModel.words(text))
  }

  endTurn(): void {
    this.endText()
    this.turns.push(this.actions)
    this.actions = []
  }
}

/**
 * Reads a script: one turn for each answer.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { ModelScript } from "@perennial/runtime"
 * import { Result } from "effect"
 *
 * const script = ["I look.", "@tool weather", "---", "It is cold."].join("\n")
 * const turns = Result.getOrThrow(ModelScript.parse(script))
 * turns // => [["I ", "look.", { tool: "weather", params: {} }], ["It ", "is ", "cold."]]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (script: string): Result.Result<ReadonlyArray<ScriptedModel.Turn>, ScriptError> => {
  const reader = new Reader()
  for (const [at, line] of script.split(/\r?\n/).entries()) {
    const read = reader.read(line)
    if (Result.isFailure(read)) return Result.fail(new ScriptError({ line: at + 1, problem: read.failure }))
  }
  reader.endTurn()
  return Result.succeed(reader.turns)
}

const answersIn = ({ prompt }: ScriptedModel.ScriptedRequest): number =>
  prompt.content.filter((message: Prompt.Message) => message.role === "assistant").length

/**
 * A model that follows a script in every conversation. Its n-th answer in a conversation is the n-th answer of the script;
 * after the last answer the first one follows. An answer is a pure function of the conversation, so that a recovery gets the
 * same answer. A failure in the script fails every try.
 *
 * **When to use** For demonstrations. For answers in one order across all conversations, pass the result of `parse` to
 * `ScriptedModel.layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (script: string): Layer.Layer<LanguageModel.LanguageModel, ScriptError> =>
  Layer.unwrap(
    Effect.map(Effect.fromResult(parse(script)), (turns) =>
      ScriptedModel.layer({
        otherwise: (request) => turns[answersIn(request) % turns.length] ?? []
      }))
  )
