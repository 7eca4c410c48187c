/**
 * Tickets: short-lived credentials that open event streams, and nothing else.
 *
 * A browser's `EventSource` sends no headers, so its credential is in the URL, where proxies log it. A ticket is worth less
 * than a token there: it ends in minutes, and it opens only the streams of one user, or of one task.
 *
 * A ticket is signed (HMAC-SHA-256) and is stored nowhere.
 *
 * @since 0.1.0
 */
import { TaskId, UserId } from "@perennial/domain/Ids"
import { Clock, Context, Duration, Effect, Layer, Option, Redacted, Result, Schema } from "effect"
import { Mac, SecureRandom } from "effect/crypto"
import { Base64Url } from "effect/encoding"
import type { Principal } from "./Principal.ts"

/**
 * How tickets are made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Signs tickets. All processes that serve the same users need the same secret. By default each process makes a random
   * secret at its start, so that only this process accepts its tickets.
   */
  readonly secret?: Redacted.Redacted | undefined
  /**
   * How long a ticket opens streams; five minutes by default, and never longer than the credential that it was made for. A
   * stream that is open goes on until that credential ends.
   */
  readonly lifetime?: Duration.Input | undefined
}

/**
 * The name of the query parameter that has a ticket.
 *
 * @since 0.1.0
 * @category constants
 */
export const ticketKey = "ticket"

const Content = Schema.fromJsonString(Schema.Struct({
  userId: UserId,
  /** Without it the ticket opens all streams of the user. */
  taskId: Schema.optionalKey(TaskId),
  /** Until when the ticket opens streams, in milliseconds since 1970-01-01T00:00Z. */
  until: Schema.Natural,
  /** When the credential ends that the ticket was made for. */
  expiresAt: Schema.optionalKey(Schema.Natural)
}))

const encodeContent = Schema.encodeSync(Content)
const decodeContent = Schema.decodeUnknownOption(Content)
const utf8 = new TextEncoder()

/**
 * @since 0.1.0
 * @category services
 */
export class Tickets extends Context.Service<Tickets, {
  /** Makes a ticket for the streams of a principal, or for the stream of one task. */
  readonly issue: (
    principal: Principal,
    options?: { readonly taskId?: TaskId | undefined }
  ) => Effect.Effect<{ readonly ticket: string; readonly expiresAt: number }>
  /** The principal of a ticket. None if the ticket is not valid, not any more, or is for another task. */
  readonly verify: (
    ticket: string,
    options?: { readonly taskId?: string | undefined }
  ) => Effect.Effect<Option.Option<Principal>>
}>()("@perennial/http/Tickets") {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ lifetime = "5 minutes", secret }: Options = {}): Layer.Layer<Tickets> =>
  Layer.effect(
    Tickets,
    Effect.gen(function*() {
      const mac = yield* Mac.Mac
      const key = yield* secret === undefined
        ? mac.generateKey(Mac.hmacSha256)
        : Mac.key(Mac.hmacSha256, utf8.encode(Redacted.value(secret)))

      return Tickets.of({
        issue: Effect.fnUntraced(function*({ expiresAt, userId }, { taskId } = {}) {
          const now = yield* Clock.currentTimeMillis
          const until = Math.min(now + Duration.toMillis(lifetime), expiresAt ?? Number.POSITIVE_INFINITY)
          const content = Base64Url.encode(
            encodeContent({ userId, until, ...(taskId && { taskId }), ...(expiresAt !== undefined && { expiresAt }) })
          )
          const tag = yield* Effect.orDie(mac.sign(key, utf8.encode(content)))
          return { ticket: `${content}.${Base64Url.encode(tag)}`, expiresAt: until }
        }),
        verify: Effect.fnUntraced(function*(ticket, { taskId } = {}) {
          const [content = "", tag = ""] = ticket.split(".")
          const signature = Base64Url.decode(tag)
          if (Result.isFailure(signature)) return Option.none()
          // The content is not read before its signature is known to be right.
          if (!(yield* Effect.orDie(mac.verify(key, signature.success, utf8.encode(content))))) return Option.none()
          const text = Base64Url.decodeString(content)
          const read = Result.isFailure(text) ? Option.none() : decodeContent(text.success)
          const now = yield* Clock.currentTimeMillis
          return read.pipe(
            Option.filter((given) => now < given.until && (given.taskId === undefined || given.taskId === taskId)),
            Option.map(({ expiresAt, userId }): Principal => ({ userId, expiresAt }))
          )
        })
      })
    })
  ).pipe(
    Layer.provide(Mac.layerWebCrypto),
    Layer.provide(SecureRandom.layerWebCrypto),
    Layer.orDie
  )
