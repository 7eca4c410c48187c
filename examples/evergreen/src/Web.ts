/**
 * The web app: the files that Vite has built into `web/dist`. Files with a hash in their name are kept for ever; the page is
 * asked for again each time. The files were compressed when they were built.
 */
import { NodeHttpPlatform, NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Path } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerRespondable, HttpServerResponse, HttpStaticServer } from "effect/http"

// What models say is not trusted: nothing is loaded from elsewhere, and no script runs that was not built. The one trusted type is
// the address of the shared worker.
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types evergreen"
].join("; ")

const types: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml"
}

const encodings = [["br", "br"], ["gzip", "gz"]] as const

/** The addresses of the app. No address of the API begins like one of them. */
const pages = ["/", "/c/*", "/inbox", "/t/*", "/r", "/a", "/settings"] as const

const notBuilt = HttpServerResponse.text(
  "The web app is not built. Run: node examples/evergreen/web/build.ts\nThe API works without it: see /docs.\n",
  { status: 503 }
)

const app = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* path.fromFileUrl(new URL("../web/dist", import.meta.url))
  if (!(yield* files.exists(path.join(root, "index.html")))) return HttpRouter.add("GET", "/", notBuilt)
  const present = new Set(yield* files.readDirectory(root, { recursive: true }))
  const hashed = yield* HttpStaticServer.make({ root, cacheControl: "public, max-age=31536000, immutable" })
  const others = yield* HttpStaticServer.make({ root, cacheControl: "no-cache" })

  const send = (name: string) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const accepted = request.headers["accept-encoding"] ?? ""
      const encoding = encodings.find(([coding, suffix]) =>
        accepted.includes(coding) && present.has(`${name}.${suffix}`)
      )
      const response = yield* Effect.provideService(
        name.startsWith("assets/") ? hashed : others,
        HttpServerRequest.HttpServerRequest,
        request.modify({ url: encoding === undefined ? `/${name}` : `/${name}.${encoding[1]}` })
      )
      if (response.status === 304) return response
      return HttpServerResponse.setHeaders(response, {
        "content-type": types[path.extname(name).slice(1)] ?? "application/octet-stream",
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        ...encoding === undefined ? {} : { "content-encoding": encoding[0] },
        ...name === "index.html"
          ? { "content-security-policy": contentSecurityPolicy, "referrer-policy": "no-referrer" }
          : {}
      })
    }).pipe(Effect.catch(HttpServerRespondable.toResponse))

  const asset = Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ url }) => send(url.replace(/^\/|[?#].*$/g, ""))
  )
  return Layer.mergeAll(
    HttpRouter.add("GET", "/assets/*", asset),
    ...pages.map((page) => HttpRouter.add("GET", page, send("index.html"))),
    ...["icon.svg", "theme.js"].map((name) => HttpRouter.add("GET", `/${name}`, send(name)))
  )
})

export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = Layer.unwrap(app).pipe(
  Layer.provide([NodeServices.layer, NodeHttpPlatform.layer]),
  Layer.orDie // the app is a part of this program
)
