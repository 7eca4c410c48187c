/**
 * The version of Perennial.
 *
 * @since 0.1.0
 */

/**
 * The version of these packages, which all have the same.
 *
 * @since 0.1.0
 * @category constants
 */
export const version = "0.1.0"
