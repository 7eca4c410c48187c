/**
 * Refuses requests of browsers that a page of another site may have sent (no cross-site request forgery), or that use a
 * foreign name for this machine (no DNS rebinding).
 */
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Forbidden } from "../Problems.ts"
import { isAddressedToLoopback, isSameOrigin, isWrite } from "./origin.ts"

const foreignOrigin = Effect.fail(
  new Forbidden({ detail: "Writes are accepted only from pages that this server itself has served." })
)

const foreignHost = Effect.fail(
  new Forbidden({ detail: "A server without tokens answers only requests to localhost, 127.0.0.1 or [::1]." })
)

type Policy = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<void, Forbidden>

/** For cookies, which a browser adds to every request: a write must have the origin of this server. */
export const fromOwnPage: Policy = (request) =>
  isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => false) ? foreignOrigin : Effect.void

/** For requests without credentials: the host must be a loopback name, and a write must not have another origin. */
export const fromThisMachine: Policy = (request) => {
  if (!isAddressedToLoopback(request)) return foreignHost
  return isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => true) ? foreignOrigin : Effect.void
}
