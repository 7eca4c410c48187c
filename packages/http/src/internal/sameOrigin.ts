/**
 * Refuses requests of browsers that a page of another site may have sent (no cross-site request forgery), or that use a
 * foreign name for this machine (no DNS rebinding).
 */
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Forbidden } from "../Problems.ts"
import { describeHost, describeOrigin, isAddressedToLoopback, isSameOrigin, isWrite } from "./origin.ts"
import { PublicUrl } from "./publicUrl.ts"

type Policy = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<void, Forbidden>

/** A write must come from a page of this server. `without`: whether a write without an origin is accepted. */
const fromOwnOrigin = (without: boolean): Policy => (request) =>
  isWrite(request)
    ? Effect.flatMap(PublicUrl, (publicUrl) =>
      Option.getOrElse(isSameOrigin(request, publicUrl), () => without) ?
        Effect.void :
        Effect.fail(
          new Forbidden({
            detail: `Writes are accepted only from pages of this server: ${describeOrigin(request, publicUrl)}.`
          })
        ))
    : Effect.void

/** For cookies, which a browser adds to every request: a write must have the origin of this server. */
export const fromOwnPage: Policy = fromOwnOrigin(false)

const notFromAnotherPage = fromOwnOrigin(true)

/** For requests without credentials: the host must be a loopback name, and a write must not have another origin. */
export const fromThisMachine: Policy = (request) =>
  isAddressedToLoopback(request) ? notFromAnotherPage(request) : Effect.fail(
    new Forbidden({
      detail: `${
        describeHost(request)
      }. A server without tokens answers only requests to localhost, 127.0.0.1 or [::1].`
    })
  )
