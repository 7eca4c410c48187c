/**
 * What an agent asks of a model beside the prompt, how a provider says that it is alive, and what its model can take. All
 * are references, so that any provider can use them and none has to.
 *
 * @since 0.1.0
 */
import { Context, Function } from "effect"

/**
 * Settings of one model request. A provider takes what it knows and ignores the rest.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSettings {
  /** Randomness of the answer, from 0. Claude models do not take it: `effort` has taken its place there. */
  readonly temperature?: number | undefined
  /** The longest answer in tokens, thinking included, at least 1. */
  readonly maxTokens?: number | undefined
  /** How much the model thinks and writes. */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max" | undefined
  /** Whether the model thinks first: as it sees fit, not at all, or with at least 1,024 tokens below `maxTokens`. */
  readonly thinking?: "adaptive" | "disabled" | { readonly budgetTokens: number } | undefined
  /** How long the provider keeps the prompt, so that the next request is cheaper; `false` not at all. */
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
 * To be called by a provider for each sign of life that brings no part of an answer, such as a ping: it holds off the
 * agent's `timeouts.modelIdle`.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentModelActivity = Context.Reference<() => void>(
  "@perennial/runtime/ModelSettings/CurrentModelActivity",
  { defaultValue: () => Function.constVoid }
)

/**
 * What a model can take.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelLimits {
  /** Tokens of a prompt and its answer together; not known by default. */
  readonly contextTokens?: number | undefined
  /** Of them, those that are kept for an answer where `ModelSettings.maxTokens` does not say it. */
  readonly answerTokens?: number | undefined
}

/**
 * The limits of a model. A provider's layer gives them beside the `LanguageModel`, and agents make their prompts fit.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentModelLimits = Context.Reference<ModelLimits>(
  "@perennial/runtime/ModelSettings/CurrentModelLimits",
  { defaultValue: () => ({}) }
)

/**
 * The settings among other fields, and only those that are set.
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
