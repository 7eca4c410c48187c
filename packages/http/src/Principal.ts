/**
 * Who makes a request, and until when the credential of the request is valid.
 *
 * @since 0.1.0
 */
import type { UserId } from "@perennial/domain/Ids"
import { Context } from "effect"

/**
 * What a principal may do beside the tasks and conversations of its own. An `operator` reads and cancels the tasks of every
 * user without their events and messages, and exports or erases all data of a user.
 *
 * @since 0.1.0
 * @category models
 */
export type Role = "operator"

/**
 * What a credential proves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Principal {
  readonly userId: UserId
  /** None by default. */
  readonly roles?: ReadonlyArray<Role> | undefined
  /**
   * When the credential ends, in milliseconds since 1970-01-01T00:00Z; never by default. An event stream sends no event after
   * this time: it ends with a `retry:` hint, and the next request needs a valid credential.
   */
  readonly expiresAt?: number | undefined
}

/**
 * The principal of the current request. `Authorization.layerVerify` sets it. The default is undefined.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentPrincipal = Context.Reference<Principal | undefined>("@perennial/http/Principal/CurrentPrincipal", {
  defaultValue: () => undefined
})
