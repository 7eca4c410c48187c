/**
 * Whether a process can do its work at present.
 *
 * @since 0.1.0
 */
import { Context, Effect, Schema } from "effect"

/**
 * The process cannot do its work at present. The message says what is not ready. It has no secrets: anybody may see it.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", { problem: Schema.String }) {
  override get message() {
    return this.problem
  }
}

/**
 * Fails while this process cannot do its work, such as while its store accepts no writes. It answers at once, and asks nobody.
 *
 * **When to use** To decide whether this process gets requests: the server answers `GET /ready` by it. The layer that executes
 * tasks provides it. The default is for processes that execute no tasks: it always succeeds.
 *
 * @since 0.1.0
 * @category services
 */
export const Readiness = Context.Reference<Effect.Effect<void, NotReady>>("@perennial/domain/Readiness", {
  defaultValue: () => Effect.void
})
