/**
 * What an agent asks of a model beside the prompt.
 *
 * @since 0.1.0
 */
import { Context } from "effect"

/**
 * Settings of one model request. A provider takes what it knows and ignores the rest.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelSettings {
  /** Randomness of the answer, from 0. Claude models do not take it. */
  readonly temperature?: number | undefined
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
