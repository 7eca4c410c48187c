/**
 * The web app: one static page, served at `/`.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Path } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

// The page contains its script and its style. It connects to this server only, and other pages cannot frame it.
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const page = Effect.gen(function*() {
  const path = yield* (yield* Path.Path).fromFileUrl(new URL("../web/index.html", import.meta.url))
  return HttpServerResponse.html(yield* (yield* FileSystem.FileSystem).readFileString(path)).pipe(
    HttpServerResponse.setHeaders({
      "content-security-policy": contentSecurityPolicy,
      "cache-control": "no-cache",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff"
    })
  )
})

export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = Layer.unwrap(
  Effect.map(page, (response) => HttpRouter.add("GET", "/", response))
).pipe(
  Layer.provide(NodeServices.layer),
  Layer.orDie // the page is a part of this program
)
