/**
 * The user on whose behalf something is asked.
 *
 * @since 0.1.0
 */
import { Context } from "effect"
import { UserId } from "./Ids.ts"

/**
 * The user of the current fiber. The HTTP layer sets it from the request's credentials; without one it is `"local"`.
 *
 * **Details** Every read and write a user asks for is filtered by it in the store (P12).
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentUser = Context.Reference<UserId>("@perennial/domain/CurrentUser", {
  defaultValue: () => UserId.make("local")
})
