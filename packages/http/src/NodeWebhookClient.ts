/**
 * A `WebhookClient` on Node.js, which reaches public addresses alone (no server-side request forgery).
 *
 * Needs the packages `@effect/platform-node` and `request-filtering-agent`.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { NodeHttpClient } from "@effect/platform-node"
import { Duration, Effect, Layer, Predicate } from "effect"
import { HttpBody, HttpClient, type HttpClientError } from "effect/http"
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import { isIP, type LookupFunction } from "node:net"
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from "request-filtering-agent"
import { AddressRefused, NoAnswer, WebhookClient } from "./WebhookClient.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether private, loopback and link-local addresses, and `http://`, are reached, too; false by default. For receivers in the
   * network of the server, where only trusted people add webhooks.
   */
  readonly allowPrivate?: boolean | undefined
  /** From the beginning of the connection to the status of the answer; 15 seconds by default. */
  readonly timeout?: Duration.Input | undefined
  /** Resolves names; the resolver of the system by default. Its answer is checked like any other. */
  readonly lookup?: LookupFunction | undefined
}

/** A public address that is no public place: the metadata and the resolver of Azure. Other clouds use link-local ones. */
const metadata = ["168.63.129.16"]

const makeAgents = ({ allowPrivate = false, lookup }: Options) => {
  const options = {
    // A connection for each request: nothing is sent to an address that was checked long ago.
    keepAlive: false,
    ...(lookup === undefined ? undefined : { lookup })
  }
  if (allowPrivate) return { http: new HttpAgent(options), https: new HttpsAgent(options) }
  const filter = { ...options, denyIPAddressList: metadata }
  return { http: new RequestFilteringHttpAgent(filter), https: new RequestFilteringHttpsAgent(filter) }
}

const isRefusal = (cause: unknown): boolean => Predicate.isError(cause) && / is not allowed\. /.test(cause.message)

/** The reason of a failure, and of what caused it. */
const reasonOf = (cause: unknown): string => {
  if (!Predicate.isError(cause)) return String(cause)
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(", ")
  return cause.message
}

const refused = new AddressRefused({
  problem: "The address is private, or is not reachable from the internet. This server does not send to such addresses."
})

const toFailure = ({ reason }: HttpClientError.HttpClientError): AddressRefused | NoAnswer =>
  isRefusal(reason.cause) ? refused : new NoAnswer({ problem: `No answer: ${reasonOf(reason.cause ?? reason)}.` })

const parse = (url: string): URL | undefined => URL.canParse(url) ? new URL(url) : undefined

/**
 * Sends to public addresses alone, unless the options allow others.
 *
 * **Details** An address is checked when a connection to it is made, after its name was resolved, so that a name that points
 * elsewhere the second time gains nothing. All addresses of a name must be public.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<WebhookClient> =>
  Layer.effect(
    WebhookClient,
    Effect.gen(function*() {
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      const { allowPrivate = false } = options
      const timeout = Duration.fromInputUnsafe(options.timeout ?? "15 seconds")

      const check: WebhookClient["Service"]["check"] = (text) => {
        const url = parse(text)
        const refuse = (problem: string) => Effect.fail(new AddressRefused({ problem }))
        if (url === undefined) return refuse("The address is not a URL.")
        if (url.protocol !== "https:" && !(allowPrivate && url.protocol === "http:")) {
          return refuse("The address must begin with https://.")
        }
        if (url.username !== "" || url.password !== "") return refuse("The address must not have a password.")
        if (allowPrivate) return Effect.void
        const host = url.hostname.replace(/^\[|\]$/g, "")
        // A certificate is for a name.
        if (isIP(host) !== 0) return refuse("The address must have the name of a host, not an IP address.")
        // Names that are local by definition (RFC 6761, RFC 6762, RFC 8375).
        return /(?:^|\.)(?:localhost|local|internal|home\.arpa)\.?$/.test(host)
          ? Effect.fail(refused)
          : Effect.void
      }

      const post: WebhookClient["Service"]["post"] = ({ body, headers, url }) =>
        Effect.andThen(
          check(url),
          client.post(url, { headers, body: HttpBody.text(body, headers["content-type"] ?? "application/json") }).pipe(
            Effect.map(({ status }) => status),
            Effect.mapError(toFailure),
            // The scope ends the connection, whatever the receiver still sends.
            Effect.scoped,
            // The receiver is no part of the system, and its address may be a secret.
            Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
            Effect.timeoutOrElse({
              duration: timeout,
              orElse: () => Effect.fail(new NoAnswer({ problem: `No answer within ${Duration.format(timeout)}.` }))
            })
          )
        )
      return { check, post }
    })
  ).pipe(
    Layer.provide(NodeHttpClient.layerNodeHttpNoAgent),
    Layer.provide(Layer.effect(
      NodeHttpClient.HttpAgent,
      Effect.acquireRelease(
        Effect.sync(() => makeAgents(options)),
        ({ http, https }) =>
          Effect.sync(() => {
            http.destroy()
            https.destroy()
          })
      )
    ))
  )
