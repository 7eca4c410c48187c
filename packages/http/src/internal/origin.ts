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
 * Whether a page of this server sent the request. None if the request has neither `Sec-Fetch-Site: same-origin` nor an
 * `Origin`. Browsers send an `Origin` with every write (Fetch Standard, section 3.2); other programs do not.
 *
 * A proxy may change `Host`, so two other facts count too. The origin of the public URL is this server's. And the browser
 * itself compares the origin of the page with the URL of the request: no page can set `Sec-Fetch-Site` (Fetch Metadata,
 * section 2.3).
 */
export const isSameOrigin = (
  request: HttpServerRequest.HttpServerRequest,
  publicUrl: string | undefined
): Option.Option<boolean> => {
  if (request.headers["sec-fetch-site"] === "same-origin") return Option.some(true)
  const origin = request.headers.origin
  if (origin === undefined) return Option.none()
  if (publicUrl !== undefined && URL.canParse(publicUrl) && new URL(publicUrl).origin === origin) {
    return Option.some(true)
  }
  // The scheme comes from the origin, because a proxy may terminate TLS. It only matters for default ports.
  const scheme = origin.startsWith("https:") ? "https" : "http"
  const own = hostOf(`${scheme}://${requestHost(request)}`)
  const other = hostOf(origin)
  return Option.some(Option.isSome(own) && Option.isSome(other) && own.value === other.value)
}

const shown = (value: string | undefined): string => {
  if (value === undefined || value === "") return "absent"
  return value.length <= 100 ? value : `${value.slice(0, 100)}…`
}

/** The host that the request is addressed to, for a person. */
export const describeHost = (request: HttpServerRequest.HttpServerRequest): string =>
  `\`Host\` is ${shown(requestHost(request))}`

/** Everything that `isSameOrigin` compares, for a person. */
export const describeOrigin = (
  request: HttpServerRequest.HttpServerRequest,
  publicUrl: string | undefined
): string =>
  [
    `\`Origin\` is ${shown(request.headers.origin)}`,
    describeHost(request),
    `\`Sec-Fetch-Site\` is ${shown(request.headers["sec-fetch-site"])}`,
    publicUrl === undefined
      ? "and no public URL (PERENNIAL_PUBLIC_URL) is configured"
      : `and the public URL is ${shown(publicUrl)}`
  ].join(", ")
