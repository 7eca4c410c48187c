/** The middleware that counts requests, with the counter that the application provides. */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { Context, Effect, Layer, Option, Predicate } from "effect"
import { HttpServerRequest } from "effect/http"
import { type RateLimited, RefusalLimit, RequestLimit } from "../Problems.ts"

/** Counts one request of the user or the address `key`, and fails if it is one too many. */
export type Count = (key: string) => Effect.Effect<void, RateLimited, HttpServerRequest.HttpServerRequest>

/** By default requests are not counted. */
export const RequestCounter = Context.Reference<Count | undefined>("@perennial/http/internal/RequestCounter", {
  defaultValue: () => undefined
})

const address = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ remoteAddress }) => Option.getOrElse(remoteAddress, () => "unknown")
)

export const layerRequestLimits: Layer.Layer<RequestLimit | RefusalLimit> = Layer.unwrap(
  Effect.map(RequestCounter, (count) =>
    count === undefined
      ? Layer.merge(
        Layer.succeed(RequestLimit, (handler) => handler),
        Layer.succeed(RefusalLimit, (handler) => handler)
      )
      : Layer.merge(
        Layer.succeed(
          RequestLimit,
          (handler) => Effect.flatMap(CurrentUser, (userId) => Effect.andThen(count(`user:${userId}`), handler))
        ),
        Layer.succeed(RefusalLimit, (handler) =>
          Effect.tapError(handler, (error: unknown) =>
            Predicate.isTagged(error, "Unauthorized")
              ? Effect.flatMap(address, (address) =>
                count(`address:${address}`))
              : Effect.void))
      ))
)
