import type { HttpServerRequest } from "effect/http"

/** The path as the client sent it. A web-standard request has its whole URL there. */
export const pathOf = (request: HttpServerRequest.HttpServerRequest): string =>
  request.originalUrl.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/"
