/** Asks for a place among the open event streams, before a request begins its work. */
import { Effect } from "effect"
import { HttpEffect, HttpServerResponse } from "effect/http"
import type { EventStreams } from "../Sse.ts"

/** A reader that was refused shall wait for this long, in seconds. Its connection ends, because it would stay an open file. */
const retryAfter = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.setHeaders(response, { "retry-after": "5", connection: "close" }))
)

export const admitted = (streams: EventStreams["Service"]) => Effect.tapError(streams.admit, () => retryAfter)
