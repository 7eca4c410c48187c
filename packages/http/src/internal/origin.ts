/**
 * The origin of a request, as far as a browser sends it.
 */
import { Option } from "effect"
import type { HttpServerRequest } from "effect/http"

const loopback = /^(?:(?:[\w-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

const hostOf = (address: string): Option.Option<string> =>
  URL.canParse(address) ? Option.some(new URL(address).host) : Option.none()

const requestHost = (request: HttpServerRequest.HttpServerRequest): string =>
  request.headers.host ?? Option.getOrElse(hostOf(request.originalUrl), () => "")

/** Whether this name or address of a host always means this machine. */
export const isLoopback = (host: string): boolean => loopback.test(host.includes("::") ? `[${host}]` : host)

/** Whether the request is addressed to a loopback name. It is not if a DNS name was rebound to this machine. */
export const isAddressedToLoopback = (request: HttpServerRequest.HttpServerRequest): boolean =>
  loopback.test(requestHost(request))

/** Whether the request may change something. */
export const isWrite = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.method !== "GET" && request.method !== "HEAD"

/**
 * Whether this host served the page that sent the request. None if the request has no `Origin`. Browsers send it with every
 * write (Fetch Standard, section 3.2); other programs do not.
 */
export const isSameOrigin = (request: HttpServerRequest.HttpServerRequest): Option.Option<boolean> => {
  const origin = request.headers.origin
  if (origin === undefined) return Option.none()
  // The scheme comes from the origin, because a proxy may terminate TLS. It only matters for default ports.
  const scheme = origin.startsWith("https:") ? "https" : "http"
  const own = hostOf(`${scheme}://${requestHost(request)}`)
  const other = hostOf(origin)
  return Option.some(Option.isSome(own) && Option.isSome(other) && own.value === other.value)
}
