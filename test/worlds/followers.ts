/** Clients that follow a conversation from task to task, over connections to any process, and what they saw. */
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { ConversationId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Context, Effect, Exit, Latch, Stream } from "effect"
import { Connections, type Processes } from "./connections.ts"
import type { Dice } from "./dice.ts"
import { CurrentConnections, remote } from "./remote.ts"
import type { Actor } from "./simulation.ts"
import { type Tagged, tagOf } from "./words.ts"

/** Everything that one follower got, over all of its connections. */
export interface Following {
  readonly conversation: string
  readonly seen: Array<StoredEvent>
  /** How many events were not durable when they were seen. */
  early: number
  /** Why connections ended that should not have. */
  readonly failures: Array<string>
  /** Whether the follower was told that the conversation, or its task, was deleted. */
  gone: boolean
}

/** The world as its followers see it. */
export interface Surroundings extends Processes {
  /** Whether clients use HTTP. */
  readonly http: boolean
  /** Whether an event is durable. */
  readonly isDurable: (place: EventPlace) => boolean
}

/** After these errors a follower connects again. */
const interruptions: ReadonlySet<string> = new Set([
  "Broken",
  "TimeoutError",
  "TaskBackendError",
  "ConversationStoreError",
  "StreamLost",
  "ConnectionLost",
  "Unavailable"
])

/** These errors say that something was deleted. */
const deletions: ReadonlySet<string> = new Set(["ConversationNotFound", "EventsExpired"])

/** How long a follower takes for an event at most if it stalls, in milliseconds. */
const stall = 400

export class Followers {
  readonly #world: Surroundings
  readonly #dice: Dice
  readonly #actor: Actor
  readonly #context: Context.Context<never>
  readonly #connections: Connections
  readonly #leaving = Latch.makeUnsafe()
  readonly #open = new Set<Following>()
  readonly followings: Array<Following> = []

  constructor(world: Surroundings, dice: Dice) {
    this.#world = world
    this.#dice = dice
    this.#actor = world.simulation.actor("followers")
    this.#connections = new Connections(world, dice, this.#actor)
    this.#context = Context.add(this.#actor.context, CurrentConnections, this.#connections)
  }

  /** The followers that have not ended. */
  get open(): ReadonlyArray<Following> {
    return [...this.#open]
  }

  /** Ends all followers: a conversation does not end. */
  leave(): void {
    this.#world.simulation.push(this.#actor, () => this.#leaving.openUnsafe())
  }

  begin(conversation: string): void {
    const following: Following = { conversation, seen: [], early: 0, failures: [], gone: false }
    this.followings.push(following)
    this.#open.add(following)
    this.#world.simulation.push(this.#actor, () => {
      Effect.runForkWith(this.#context)(Effect.raceFirst(this.#follow(following), this.#leaving.await))
        .addObserver((exit) => {
          this.#open.delete(following)
          if (Exit.isFailure(exit)) following.failures.push("died")
        })
    })
  }

  readonly #follow = Effect.fnUntraced(function*(this: Followers, following: Following) {
    while (!following.gone) {
      const patience = this.#dice.chance(0.3) ? this.#dice.below(4_000) : 60_000
      const stalls = this.#dice.chance(0.2)
      let open = true
      const see = (stored: StoredEvent) => {
        if (open) this.#see(following, stored)
        return stalls ? Effect.sleep(this.#dice.below(stall)) : Effect.void
      }
      const exit = yield* Effect.exit(Effect.timeout(this.#events(following, see), patience))
      // What an abandoned connection still delivers reaches nobody.
      open = false
      const failure = Exit.isFailure(exit) ? tagOf(exit.cause) : undefined
      // In process a stream ends with its conversation.
      following.gone = failure === undefined || deletions.has(failure)
      if (failure !== undefined && !following.gone && !interruptions.has(failure)) following.failures.push(failure)
      yield* Effect.sleep(this.#dice.below(800))
    }
    this.#world.simulation.note(`follower of ${following.conversation} is gone`)
  })

  #events(
    { conversation, seen }: Following,
    see: (stored: StoredEvent) => Effect.Effect<void>
  ): Effect.Effect<void, Tagged> {
    const id = ConversationId.make(conversation)
    const last = seen.at(-1)
    const after = last && placeOf(last)
    return this.#world.http
      ? Stream.runForEach(remote.watchConversation(id, { after }), see)
      : this.#connections.call((manager) =>
        Effect.flatMap(manager.conversationEvents(id, { after }), (events) => Stream.runForEach(events, see))
      )
  }

  #see(following: Following, stored: StoredEvent): void {
    following.seen.push(stored)
    if (!this.#world.isDurable(placeOf(stored))) following.early++
  }
}
