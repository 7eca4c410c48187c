/**
 * Which requests of browsers are refused because another site's page may have sent them (no cross-site request forgery),
 * or because a foreign name was made to point at this machine (no DNS rebinding).
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

/** A browser adds cookies by itself: a write counts only with the origin of this server. */
export const fromOwnPage: Policy = (request) =>
  isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => false) ? foreignOrigin : Effect.void

/** Without credentials: the request is addressed to a loopback name, and a write names no other origin than this server. */
export const fromThisMachine: Policy = (request) => {
  if (!isAddressedToLoopback(request)) return foreignHost
  return isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => true) ? foreignOrigin : Effect.void
}
