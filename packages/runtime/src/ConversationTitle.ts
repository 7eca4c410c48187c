/**
 * Titles of conversations: the beginning of the first message, or what a language model makes of it. A small model is sufficient.
 *
 * @since 0.1.0
 */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import * as Message from "@perennial/domain/Message"
import { Effect, Layer, Option, type Scope } from "effect"
import { type AiError, LanguageModel } from "effect/ai"

/**
 * Makes the title of a conversation from its messages so far. None if the messages have no text. A failure is logged, and
 * the next task of the conversation tries again.
 *
 * @since 0.1.0
 * @category models
 */
export type TitleMaker = (
  history: ReadonlyArray<Message.Message>
) => Effect.Effect<Option.Option<string>, AiError.AiError>

/**
 * The instructions for the model. The beginning of the conversation follows them.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultPrompt =
  "Write a title of at most six words for a conversation that begins with the message below. "
  + "Use the language of the message. Answer with the title alone, without quotes or a full stop."

/** The model sees at most so many characters of the first message. */
const longestMessage = 2_000
/** A title has at most so many characters. */
const longestTitle = 80

const firstText = (history: ReadonlyArray<Message.Message>): string => {
  const first = history.find((message) => message.role === "user")
  return first === undefined ? "" : Message.text(first).trim()
}

/** The first line, without the quotation marks and prefixes that models add. */
const clean = (answer: string): Option.Option<string> => {
  const line = answer.split("\n").map((line) => line.trim()).find((line) => line !== "") ?? ""
  const title = line.replace(/^(?:#+\s*|title:\s*|["'“„«*_]+)+/i, "").replace(/["'”“»*_.]+$/, "").trim()
  if (title.length <= longestTitle) return title === "" ? Option.none() : Option.some(title)
  return Option.some(`${ContentBounds.truncate(title, longestTitle - 1).trimEnd()}…`)
}

/** A title that is the beginning of a message has at most so many characters. */
const longestBeginning = 60

/**
 * Takes the beginning of the user's first message as the title: one line of at most 60 characters. Asks no model.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFirstMessage: TitleMaker = (history) => {
  const text = firstText(history).replace(/\s+/g, " ")
  if (text.length <= longestBeginning) return text === "" ? Effect.succeedNone : Effect.succeedSome(text)
  return Effect.succeedSome(`${ContentBounds.truncate(text, longestBeginning - 1).trimEnd()}…`)
}

/**
 * Makes titles from the first message of the user, with the `LanguageModel` of the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: { readonly prompt?: string | undefined }
): Effect.Effect<TitleMaker, never, LanguageModel.LanguageModel> =>
  Effect.map(LanguageModel.LanguageModel, (model): TitleMaker => (history) => {
    const text = firstText(history)
    if (text === "") return Effect.succeedNone
    const prompt = `${options?.prompt ?? defaultPrompt}\n\n${
      ContentBounds.wellFormed(ContentBounds.truncate(text, longestMessage))
    }`
    return Effect.map(model.generateText({ prompt }), (response) => clean(response.text))
  })

/**
 * Makes titles with a model of its own, which is built once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromModel = <E, R>(
  model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  options?: { readonly prompt?: string | undefined }
): Effect.Effect<TitleMaker, E, R | Scope.Scope> =>
  Effect.flatMap(Layer.build(model), (context) => Effect.provideContext(make(options), context))
