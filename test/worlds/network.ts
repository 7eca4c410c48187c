/**
 * The network between the processes and their store. Every call is a message, and so is its reply. Both may be slow or lost,
 * also after the process that sent the call is dead.
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"
import * as MemoryTaskBackend from "@perennial/domain/MemoryTaskBackend"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import type { Wake } from "@perennial/domain/Wake"
import { Duration, Effect, Exit, Queue, Stream } from "effect"
import { type Commit, isWrite, type Write, writeOf } from "./commit.ts"
import type { Dice } from "./dice.ts"
import type { Weather } from "./plan.ts"
import type { Actor, Simulation } from "./simulation.ts"
import { outcome, show, type Tagged } from "./words.ts"

/** How long a process waits for a reply that does not come, in milliseconds: what a backend allows itself. */
const patience = 4_000
/** How late a call may take effect, in milliseconds. */
const latest = 12_000

/** What the calls of a process show about its inside. */
export interface Traffic {
  /** How many heads its last sweep asked for, and when: the free places of its engine. */
  free: number | undefined
  sweptAt: number
  /** When its readers last compared logs: it has readers of logs. */
  comparedAt: number
}

export class Network {
  readonly #simulation: Simulation
  readonly #dice: Dice
  readonly #weather: Weather
  readonly #actor: Actor
  readonly #wakes = new Map<Actor, Queue.Queue<Wake>>()
  readonly backend: TaskBackend["Service"]
  readonly store: ConversationStore["Service"]
  readonly commits: Array<Commit> = []
  readonly traffic = new Map<Actor, Traffic>()
  /** The store does not answer until this time. */
  outageUntil = 0
  /** From then on everything works. */
  quiet = false
  /** Called before a conversation is deleted: what the store holds is lost then. */
  onDelete: (write: Extract<Write, { readonly method: "deleteConversation" }>) => void = () => {}

  constructor(simulation: Simulation, dice: Dice, weather: Weather) {
    this.#simulation = simulation
    this.#dice = dice
    this.#weather = weather
    this.#actor = simulation.actor("network")
    this.backend = Effect.runSyncWith(this.#actor.context)(MemoryTaskBackend.make)
    this.store = Effect.runSyncWith(this.#actor.context)(MemoryConversationStore.make)
  }

  /** Asks the store at once. The memory stores answer in one synchronous step. */
  ask<A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> {
    return Effect.runSyncExitWith(this.#actor.context)(effect)
  }

  /** The task backend as one process sees it. */
  backendOf(actor: Actor): TaskBackend["Service"] {
    const traffic: Traffic = { free: undefined, sweptAt: 0, comparedAt: 0 }
    this.traffic.set(actor, traffic)
    const remote = this.#remote(
      actor,
      this.backend,
      (operation) => new TaskBackendError({ operation, cause: "the network" })
    )
    return {
      ...remote,
      unowned: (options) => {
        traffic.free = options.limit
        traffic.sweptAt = this.#simulation.now
        return remote.unowned(options)
      },
      lastSeqs: (ids) => {
        if (ids.length > 0) traffic.comparedAt = this.#simulation.now
        return remote.lastSeqs(ids)
      },
      commitWindow: Duration.millis(this.#weather.commitMillis),
      wakes: Stream.unwrap(Effect.map(Queue.sliding<Wake>(1_000), (queue) => {
        this.#wakes.set(actor, queue)
        Queue.offerUnsafe(queue, { kind: "all" })
        return Stream.fromQueue(queue)
      }))
    }
  }

  /** The conversation store as one process sees it. */
  storeOf(actor: Actor): ConversationStore["Service"] {
    return this.#remote(
      actor,
      this.store,
      (operation) => new ConversationStoreError({ operation, cause: "the network" })
    )
  }

  #remote<S extends object>(actor: Actor, service: S, failure: (operation: string) => Tagged): S {
    return Object.fromEntries(
      Object.entries(service).map(([method, member]: readonly [string, unknown]) => [
        method,
        typeof member !== "function" ? member : (...args: ReadonlyArray<unknown>) =>
          this.#call(
            actor,
            { method, args, isBackend: service === this.backend },
            // Every function of a port returns an effect.
            Reflect.apply(member, undefined, args) as Effect.Effect<unknown, Tagged>,
            () => failure(method)
          )
      ])
      // Each method keeps its type: the failure of the network is one that the port declares.
    ) as S
  }

  #call(
    actor: Actor,
    call: Call,
    effect: Effect.Effect<unknown, Tagged>,
    failure: () => Tagged
  ): Effect.Effect<unknown, Tagged> {
    return Effect.callback<unknown, Tagged>((resume) => {
      const fail = (millis: number) => this.#simulation.after(millis, actor, () => resume(Effect.fail(failure())))
      const { deleteMillis, late, refused, unanswered } = this.#weather
      const luck = this.quiet ? 1 : this.#dice.next()
      if (luck < refused) return void fail(this.#latency())
      const isAnswered = luck >= refused + unanswered + late
      if (!isAnswered) fail(patience)
      const isLate = !isAnswered && luck >= refused + unanswered
      const isSlowDeletion = deleteMillis > 0 && !this.quiet && !call.isBackend && call.method === "delete"
      const extra = (isLate ? this.#dice.below(latest) : 0) + (isSlowDeletion ? this.#dice.below(deleteMillis) : 0)
      this.#simulation.after(this.#latency() + extra, this.#actor, () => {
        if (this.#simulation.now < this.outageUntil) {
          if (isAnswered) fail(this.#dice.below(patience))
          return
        }
        const write = call.isBackend && isWrite(call.method) ? writeOf(call.method, call.args) : undefined
        if (write?.method === "deleteConversation") this.onDelete(write)
        const exit = this.ask(effect)
        if (write !== undefined && Exit.isSuccess(exit)) this.#commit(actor, write, exit.value)
        this.#note(actor, call, exit)
        if (isAnswered) this.#simulation.after(this.#latency(), actor, () => resume(exit))
      })
    })
  }

  #latency(): number {
    const luck = this.quiet ? 1 : this.#dice.next()
    return luck < this.#weather.slow ? this.#dice.below(luck < this.#weather.slow / 10 ? 3_000 : 60) : 0
  }

  #note(actor: Actor, { args, isBackend, method }: Call, exit: Exit.Exit<unknown, Tagged>): void {
    if (quietMethods.has(method)) return
    const name = isBackend ? method : `conversation ${method}`
    this.#simulation.note(
      `${actor.name} ${name}`,
      () => `${args.map(show).join(" ").slice(0, 160)} -> ${outcome(exit)}`
    )
  }

  #commit(actor: Actor, write: Write, value: unknown): void {
    // The store's time has whole milliseconds.
    const at = Math.floor(this.#simulation.now)
    // The value is of the method that `write` names.
    const commit = { ...write, value, n: this.commits.length, at, process: actor.name } as Commit
    this.commits.push(commit)
    for (const wake of wakesOf(commit)) this.#tell(actor, wake)
  }

  /** Hints to the other processes. Some are lost, some come twice, and they may overtake each other. */
  #tell(from: Actor, wake: Wake): void {
    for (const [actor, queue] of this.#wakes) {
      if (actor === from || this.#dice.chance(this.#weather.lostWakes)) continue
      const times = this.#dice.chance(this.#weather.repeatedWakes) ? 2 : 1
      for (let i = 0; i < times; i++) {
        this.#simulation.after(this.#latency(), actor, () => Queue.offerUnsafe(queue, wake))
      }
    }
  }
}

interface Call {
  readonly method: string
  readonly args: ReadonlyArray<unknown>
  /** A call of the task backend, not of the conversation store. */
  readonly isBackend: boolean
}

/** Calls that are too frequent for a trace. */
const quietMethods: ReadonlySet<string> = new Set([
  "heartbeat",
  "get",
  "list",
  "events",
  "lastSeqs",
  "unowned",
  "intents",
  "messages"
])

const wakesOf = (commit: Commit): ReadonlyArray<Wake> => {
  switch (commit.method) {
    case "append":
      return commit.args[0].map(({ claim }) => ({ kind: "log", taskId: claim.taskId }))
    case "finish":
      return [{ kind: "log", taskId: commit.args[0].taskId }]
    case "release":
      return [{ kind: "head", taskId: commit.args[0].taskId }]
    case "putIntent":
      return [{ kind: "intent", taskId: commit.args[0] }, { kind: "log", taskId: commit.args[0] }]
    default:
      return []
  }
}
