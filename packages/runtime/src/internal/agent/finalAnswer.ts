/** The answer of a task in the form that its agent promises: how a model is asked for it, and how it is read (`output`). */
import { AgentError } from "@perennial/domain/Agent"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import { type AssistantMessage, type Message, text } from "@perennial/domain/Message"
import { maxOutputLength } from "@perennial/domain/TaskSummary"
import { Array, Effect, Option, Result, Schema } from "effect"
import { type LanguageModel, Prompt, Tool } from "effect/ai"
import { failed, type ToolOutcome } from "../../AgentTools.ts"
import type { AnswerForm } from "../../ModelSettings.ts"
import { callsOf } from "./resumePoint.ts"

/** The tool by which a model without structured output gives its answer. */
export const toolName = "final_answer"

/** What a message of the model says about the final answer. */
export interface ReadAnswer {
  /** Undefined if the message has no final answer of the right form. */
  readonly output?: Schema.Json
  /** Why the final answer is not of the right form. Undefined if the message only asks for other tools. */
  readonly problem?: string
}

/** How a request asks for the form. */
export type AskedForm =
  | { readonly type: "native"; readonly form: AnswerForm }
  | { readonly type: "tool"; readonly tool: Tool.Any }

type Transformer = LanguageModel.CodecTransformer

/** The answer is a tool's arguments, or structured output: an object for every provider. */
const wrapperKey = "answer"

const isObjectSchema = (schema: Schema.Constraint): boolean => {
  const { anyOf, oneOf, type } = Tool.getJsonSchemaFromSchema(schema)
  return type === "object" && anyOf === undefined && oneOf === undefined
}

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Json))

/** A text that is JSON, also in a code block of Markdown. */
const jsonIn = (words: string): Option.Option<Schema.Json> =>
  parseJson(/^\s*```(?:json)?\s*\n([\s\S]*?)\n\s*```\s*$/.exec(words)?.[1] ?? words)

const oneLine = (message: string): string => ContentBounds.truncate(message.replaceAll(/\s+/g, " ").trim(), 500)

export class FinalAnswer<A = unknown> {
  readonly tool: Tool.Any
  readonly #plain: Schema.Codec<A, Schema.Json>
  readonly #isWrapped: boolean
  readonly #asked: Schema.Codec<unknown, Schema.Json>
  /** The forms of providers with structured output, which differ in what their JSON schemas can say. */
  readonly #native = new Map<
    Transformer,
    { readonly form: AnswerForm; readonly codec: Schema.Codec<unknown, unknown> }
  >()

  constructor(schema: Schema.Codec<A, unknown>) {
    this.#plain = Schema.toCodecJson(schema)
    this.#isWrapped = !isObjectSchema(this.#plain)
    this.#asked = this.#isWrapped ? Schema.Struct({ [wrapperKey]: this.#plain }) : this.#plain
    this.tool = Tool.dynamic(toolName, {
      description: "Gives the final answer, which ends the task. Call it once, alone, when everything else is done.",
      parameters: Tool.getJsonSchemaFromSchema(this.#asked)
    })
  }

  /** The form for a model. A model without structured output, or whose provider cannot say the form, gets a tool. */
  formFor(transformer: Transformer | undefined): AskedForm {
    const native = transformer === undefined ? undefined : this.#nativeOf(transformer)
    return native === undefined ? { type: "tool", tool: this.tool } : { type: "native", form: native.form }
  }

  #nativeOf(transformer: Transformer) {
    const known = this.#native.get(transformer)
    if (known !== undefined) return known
    // A schema that the provider cannot say, such as a recursive one, throws.
    const made = Result.try(() => transformer(this.#asked))
    if (Result.isFailure(made)) return undefined
    const { codec, jsonSchema } = made.success
    const native = { form: { name: "answer", jsonSchema }, codec: codec as Schema.Codec<unknown, unknown> }
    this.#native.set(transformer, native)
    return native
  }

  /** Reads a complete message of the model. */
  readonly read = Effect.fnUntraced({ self: this }, function*(
    message: AssistantMessage
  ): Effect.fn.Return<ReadAnswer> {
    const calls = callsOf(message)
    const call = calls.find(({ tool }) => tool === toolName)
    if (call === undefined && calls.length > 0) return {}
    const given = call === undefined ? jsonIn(text(message)) : Option.some(call.args)
    return Option.isNone(given) ? { problem: "It is not JSON." } : yield* this.#decode(given.value)
  })

  readonly #decode = Effect.fnUntraced({ self: this }, function*(given: Schema.Json): Effect.fn.Return<ReadAnswer> {
    const codecs = Array.append([...this.#native.values()].map(({ codec }) => codec), this.#asked)
    let problem = ""
    for (const codec of codecs) {
      const decoded = yield* Effect.result(Schema.decodeEffect(codec)(given))
      if (Result.isSuccess(decoded)) return yield* this.#encode(decoded.success)
      problem = oneLine(decoded.failure.message)
    }
    return { problem }
  })

  readonly #encode = Effect.fnUntraced({ self: this }, function*(asked: unknown): Effect.fn.Return<ReadAnswer> {
    const value = this.#isWrapped ? (asked as Record<typeof wrapperKey, A>)[wrapperKey] : asked as A
    const encoded = yield* Effect.result(Schema.encodeEffect(this.#plain)(value))
    if (Result.isFailure(encoded)) return { problem: oneLine(encoded.failure.message) }
    const problem = ContentBounds.jsonProblem(encoded.success, maxOutputLength)
    return problem === undefined
      ? { output: ContentBounds.wellFormedJson(encoded.success) }
      : { problem: `It ${problem}.` }
  })
}

/** The result of a call of `final_answer`. */
export const outcomeOf = ({ problem }: ReadAnswer): ToolOutcome =>
  problem === undefined
    ? { status: "completed", result: "The answer is accepted." }
    : failed(`The answer is not of the form that is asked for. ${problem} Give the whole answer again.`)

/** How many final answers of this turn were not of the right form. */
export const missesIn = (history: ReadonlyArray<Message>): number => {
  let misses = 0
  for (const message of history.slice(history.findLastIndex(({ role }) => role === "user") + 1)) {
    if (message.role === "assistant" && callsOf(message).length === 0) misses++
    if (message.role !== "tool") continue
    misses += message.content.filter((part) =>
      part.type === "tool_result" && part.tool === toolName && part.status === "error"
    ).length
  }
  return misses
}

/** A prompt whose end asks for the final answer now. The conversation does not store this message. */
export const asking = (prompt: Prompt.Prompt, problem: string | undefined): Prompt.Prompt => {
  const why = problem === undefined ? "" : `Your last answer is not of the form that is asked for. ${problem} `
  const how = "Give the whole final answer now, in the form that is asked for. If there is a tool "
    + `"${toolName}", call it and no other.`
  const message = Prompt.userMessage({ content: [Prompt.textPart({ text: why + how })] })
  return Prompt.fromMessages([...prompt.content, message])
}

export const outputInvalid = (problem: string | undefined): AgentError =>
  new AgentError({
    error: "OutputInvalid",
    detail: `The model gave no answer of the form that the agent promises. ${problem ?? "It gave none."}`,
    retryable: true
  })
