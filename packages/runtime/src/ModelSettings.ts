/**
 * Settings of a model request, the form of its answer, the activity of a provider, and the limits of a model. All are
 * references: a provider may use them, but does not have to.
 *
 * @since 0.1.0
 */
import { Context, Function, type JsonSchema } from "effect"
import type { LanguageModel } from "effect/ai"

/**
 * Settings of one model request. A provider uses the settings that it knows, and ignores the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSettings {
  /** Randomness of the answer, from 0. Claude models do not accept it; they have `effort` instead. */
  readonly temperature?: number | undefined
  /** The longest answer in tokens, thinking included, at least 1. */
  readonly maxTokens?: number | undefined
  /** How much the model thinks and writes. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** How the model thinks: adaptively, not at all, or with a budget of at least 1,024 tokens, less than `maxTokens`. */
  readonly thinking?: "adaptive" | "disabled" | { readonly budgetTokens: number } | undefined
  /** How long the provider caches the prompt, so that the next request is cheaper. `false`: not at all. */
  readonly promptCache?: "5m" | "1h" | false | undefined
}

/**
 * The settings of the model request that the current fiber makes.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentModelSettings = Context.Reference<ModelSettings>(
  "@perennial/runtime/ModelSettings/CurrentModelSettings",
  { defaultValue: () => ({}) }
)

/**
 * A provider calls this for each sign of life that brings no part of an answer, such as a ping. The call restarts the agent's
 * `timeouts.modelIdle`.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentModelActivity = Context.Reference<() => void>(
  "@perennial/runtime/ModelSettings/CurrentModelActivity",
  { defaultValue: () => Function.constVoid }
)

/**
 * The limits of a model.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelLimits {
  /** The size of the context: tokens of a prompt and its answer together. Not known by default. */
  readonly contextTokens?: number | undefined
  /** The tokens of the context that are reserved for the answer, if `ModelSettings.maxTokens` is not set. */
  readonly answerTokens?: number | undefined
}

/**
 * The limits of the current model. The layer of a provider provides them beside the `LanguageModel`, and agents make their
 * prompts fit.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentModelLimits = Context.Reference<ModelLimits>(
  "@perennial/runtime/ModelSettings/CurrentModelLimits",
  { defaultValue: () => ({}) }
)

/**
 * How the current model takes the form of an answer, if its provider has structured output: what JSON schemas can say
 * differs from provider to provider. The layer of a provider provides it beside the `LanguageModel`. Agents ask other models
 * for a typed answer by a tool.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentStructuredOutput = Context.Reference<LanguageModel.CodecTransformer | undefined>(
  "@perennial/runtime/ModelSettings/CurrentStructuredOutput",
  { defaultValue: () => undefined }
)

/**
 * The form of an answer, as a provider with structured output sends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerForm {
  readonly name: string
  /** Made by the transformer of `CurrentStructuredOutput`. */
  readonly jsonSchema: JsonSchema.JsonSchema
}

/**
 * The form of the answer that the current fiber asks for. Only a provider that has told agents of its structured output gets
 * one.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentAnswerForm = Context.Reference<AnswerForm | undefined>(
  "@perennial/runtime/ModelSettings/CurrentAnswerForm",
  { defaultValue: () => undefined }
)

/**
 * The settings among other fields. Settings that are undefined are left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from = (fields: ModelSettings): ModelSettings => {
  const { effort, maxTokens, promptCache, temperature, thinking } = fields
  return {
    ...(effort === undefined ? {} : { effort }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(promptCache === undefined ? {} : { promptCache }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(thinking === undefined ? {} : { thinking })
  }
}
