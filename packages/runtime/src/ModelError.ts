/**
 * How a provider names the failures that an agent treats in a way of their own: the `constraint` of an
 * `AiError.InvalidRequestError`.
 *
 * @since 0.1.0
 */

/**
 * The prompt is larger than the model's context window. The agent shortens it and asks once more.
 *
 * @since 0.1.0
 * @category constants
 */
export const contextExceeded = "context window exceeded"

/**
 * The provider has no such model. The agent asks the next model of its chain.
 *
 * @since 0.1.0
 * @category constants
 */
export const unknownModel = "unknown model"
