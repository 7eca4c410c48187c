/**
 * The title of a conversation, made concurrently with the agent. A title that is ready before the end of the task becomes an
 * event. A later title is only stored.
 */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { Claim } from "@perennial/domain/TaskBackend"
import { Cause, Duration, Effect, Fiber, Option, type Scope } from "effect"
import type { StopSignal } from "./stopSignal.ts"

/** The end of a task waits this long for a title. */
const patience = Duration.seconds(5)
/** A title that takes longer is given up. */
const longest = Duration.minutes(1)
/** The longest title, in characters. The rest is cut. */
const maxLength = 200

export interface TitlingOptions {
  readonly claim: Claim
  readonly stop: StopSignal
  readonly store: ConversationStore["Service"]
  /** Owns the fiber, which may outlive the task. */
  readonly scope: Scope.Scope
  /** Writes the event. Not called after the end of the task. */
  readonly write: (title: string) => Effect.Effect<void>
}

export class Titling {
  readonly #options: TitlingOptions
  #fiber: Fiber.Fiber<void> | undefined
  /** Whether the event is being written. */
  #writing = false
  /** Whether it is too late for an event. */
  #late = false

  constructor(options: TitlingOptions) {
    this.#options = options
  }

  /** Makes the title if the conversation has none. At most once for a task. */
  begin(make: Effect.Effect<Option.Option<string>>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#fiber !== undefined) return Effect.void
      return Effect.map(Effect.forkIn(Effect.interruptible(this.#run(make)), this.#options.scope), (fiber) => {
        this.#fiber = fiber
      })
    })
  }

  /**
   * Called when the agent has ended. A task that completes waits for the title, but only for a short time, and not after a
   * stop. A task that does not complete gets no title.
   */
  end(completes: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const fiber = this.#fiber
      if (fiber === undefined) return Effect.void
      if (!completes) return Effect.sync(() => fiber.interruptUnsafe())
      return Effect.raceFirst(Fiber.await(fiber), this.#options.stop.requested).pipe(
        Effect.timeoutOption(patience),
        Effect.andThen(Effect.suspend(() => {
          this.#late = !this.#writing
          return this.#writing ? Fiber.await(fiber) : Effect.void
        }))
      )
    })
  }

  #run(make: Effect.Effect<Option.Option<string>>): Effect.Effect<void> {
    const { claim, store, write } = this.#options
    const { conversationId: id, userId } = claim
    const hasTitle = Effect.map(store.get({ id, userId }), ({ title }) => title !== undefined)
    const made = Effect.gen(function*() {
      if (yield* hasTitle) return ""
      const title = yield* make
      // A person may have chosen one meanwhile.
      if (yield* hasTitle) return ""
      return ContentBounds.truncate(ContentBounds.wellFormed(Option.getOrElse(title, () => "")).trim(), maxLength)
    })
    return Effect.timeout(made, longest).pipe(
      Effect.flatMap((title) => {
        if (title === "") return Effect.void
        if (this.#late) return store.setTitle(id, title)
        this.#writing = true
        return write(title)
      }),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.logWarning("The conversation gets no title from this task.", cause)
      )
    )
  }
}
