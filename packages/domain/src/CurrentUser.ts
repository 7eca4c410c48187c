/**
 * The user who makes a request.
 *
 * @since 0.1.0
 */
import { Context } from "effect"
import { UserId } from "./Ids.ts"

/**
 * The user of the current fiber. The HTTP layer sets it from the credentials of the request. The default is `"local"`.
 *
 * **Details** The store filters every read and every write of a request by the user (P12).
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentUser = Context.Reference<UserId>("@perennial/domain/CurrentUser", {
  defaultValue: () => UserId.make("local")
})
