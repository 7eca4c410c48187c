/**
 * How the server reaches the addresses of webhooks. Users choose the addresses, so a client refuses those inside the network of
 * the server.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema } from "effect"

/**
 * An address is not one that the server sends to.
 *
 * @since 0.1.0
 * @category errors
 */
export class AddressRefused extends Schema.TaggedError<AddressRefused>()("AddressRefused", {
  problem: Schema.String
}) {
  override get message() {
    return this.problem
  }
}

/**
 * A request got no answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {
  /** A sentence that the owner of the webhook may read. */
  problem: Schema.String
}) {
  override get message() {
    return this.problem
  }
}

/**
 * Sends the requests of webhooks. `NodeWebhookClient.layer` provides it.
 *
 * @since 0.1.0
 * @category services
 */
export class WebhookClient extends Context.Service<WebhookClient, {
  /**
   * Refuses an address that can be told to be a wrong one by its text. Names are resolved when a request is made, so that an
   * accepted address may still be refused then.
   */
  readonly check: (url: string) => Effect.Effect<void, AddressRefused>

  /**
   * Sends a body, JSON unless the headers name another type, and returns the status of the answer. Follows no redirect, connects to the address that was checked, reads
   * nothing of the answer but its status, and takes at most the time limit of the client.
   */
  readonly post: (request: {
    readonly url: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }) => Effect.Effect<number, AddressRefused | NoAnswer>
}>()("@perennial/http/WebhookClient") {}
