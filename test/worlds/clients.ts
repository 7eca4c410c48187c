/** Clients that start, read, cancel, decide and delete over connections to any process, and what they saw. */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { size } from "@perennial/domain/EventPayload"
import { ConversationId, type TaskId, UserId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { Cause, Context, Effect, Exit, Stream } from "effect"
import type { Commit } from "./commit.ts"
import { Connections, type Processes } from "./connections.ts"
import type { Dice } from "./dice.ts"
import type { Followers } from "./followers.ts"
import type { Act, Script } from "./plan.ts"
import { CurrentConnections, remote } from "./remote.ts"
import type { Actor } from "./simulation.ts"
import { type Tagged, tagOf } from "./words.ts"

/** An act of a client, and its answer. `from` and `until` are places in the order of commits. */
export interface Call {
  readonly conversation: string
  readonly act: Act
  /** Unique in the world. */
  readonly name: string
  /** Commits from this one on may be its effect. */
  readonly from: number
  /** Commits from this one on came after its answer. */
  until: number
  taskId: TaskId | undefined
  /** A status, `ok`, the tag of an error, or `unknown` without an answer. */
  result: string
  /** Whether every try got an answer. A try without an answer may take effect at any later time. */
  sure: boolean
  readonly toolCallId: string | undefined
  readonly approved: boolean
}

/** Everything that one reader got, over all of its connections. */
export interface Reading {
  readonly taskId: TaskId
  /** Over HTTP: the events are copies. */
  readonly copies: boolean
  readonly seen: Array<StoredEvent>
  /** When the reader had seen the terminal event, by the store's time. */
  endedAt: number | undefined
  /** How many events were not durable when they were seen. */
  early: number
  /** How many connections ended because the log seemed to go backwards. */
  backwards: number
  /** How many streams ended without a terminal event. */
  short: number
  /** Why connections ended that should not have. */
  readonly failures: Array<string>
  /** Whether the task was deleted meanwhile. */
  gone: boolean
  /** How long the reader stalled, in milliseconds. */
  stalled: number
  /** The largest size of the events that the reader got at once: its process held them. Not known over HTTP. */
  largest: number
}

export interface History {
  readonly calls: Array<Call>
  readonly readings: Array<Reading>
}

/** The world as its clients see it. */
export interface Surroundings extends Processes {
  readonly network: { readonly commits: ReadonlyArray<Commit> }
  /** Whether clients use HTTP. */
  readonly http: boolean
  /** The seq of the newest durable event. Undefined if the task was deleted. */
  readonly lastSeq: (id: TaskId) => number | undefined
}

/** After these errors the client does not know what was done. */
const unknowns: ReadonlySet<string> = new Set([
  "Broken",
  "TimeoutError",
  "TaskBackendError",
  "ConversationStoreError",
  "StreamLost"
])

/** Errors after which a reader connects again, or that end it. */
const interruptions: ReadonlySet<string> = new Set([...unknowns, "ConnectionLost", "TaskNotFound", "Unavailable"])

const maxTries = 40

/** How long a reader that stalls takes for an event at most, in milliseconds; and for a few of the events. */
const stall = 400
const longStall = 12_000
const longStalls = 0.05
/** The first large event of a connection is often one of the few: an event of so many bytes. */
const large = 10_000
const largeStalls = 0.5

export class Clients {
  readonly #world: Surroundings
  readonly #dice: Dice
  readonly #actor: Actor
  readonly #connections: Connections
  readonly #context: Context.Context<never>
  readonly history: History = { calls: [], readings: [] }
  /** The tasks of each conversation that clients know of. */
  readonly #known = new Map<string, Array<TaskId>>()
  /** The newest approval that each task asked for. */
  readonly #asked = new Map<TaskId, string>()
  readonly #open = new Set<string>()
  readonly #followers: Followers
  /** The conversations that are followed when they have a task. */
  readonly #followed = new Set<string>()

  constructor(world: Surroundings, dice: Dice, followers: Followers) {
    this.#world = world
    this.#dice = dice
    this.#followers = followers
    this.#actor = world.simulation.actor("clients")
    this.#connections = new Connections(world, dice, this.#actor)
    this.#context = Context.add(this.#actor.context, CurrentConnections, this.#connections)
  }

  /** How many clients and readers have not ended. */
  get open(): number {
    return this.#open.size
  }

  /** The clients and readers that have not ended. */
  get waiting(): ReadonlyArray<string> {
    return [...this.#open]
  }

  begin({ acts, client, conversation, follows }: Script): void {
    if (follows === true) this.#followed.add(conversation)
    this.#fork(
      `client ${client}`,
      Effect.forEach(
        acts,
        (act, i) => Effect.andThen(Effect.sleep(act.pause), this.#act(conversation, act, `${client}.${i}`)),
        { discard: true }
      )
    )
  }

  #fork(name: string, effect: Effect.Effect<void>): void {
    this.#open.add(name)
    this.#world.simulation.push(this.#actor, () => {
      Effect.runForkWith(this.#context)(effect).addObserver(() => this.#open.delete(name))
    })
  }

  readonly #act = Effect.fnUntraced(function*(
    this: Clients,
    conversation: string,
    act: Act,
    name: string,
    question?: { readonly taskId: TaskId; readonly toolCallId: string }
  ) {
    const known = this.#known.get(conversation) ?? []
    const aboutTask = act.type !== "start" && act.type !== "delete"
    const taskId = question?.taskId
      ?? (aboutTask ? known[known.length - 1 - this.#dice.below(Math.min(2, known.length))] : undefined)
    if (aboutTask && taskId === undefined) return
    const call: Call = {
      conversation,
      act,
      name,
      from: this.#world.network.commits.length,
      until: Number.POSITIVE_INFINITY,
      taskId,
      result: "unknown",
      sure: true,
      approved: this.#dice.chance(0.7),
      toolCallId: question?.toolCallId ?? (taskId && this.#asked.get(taskId)) ?? "0.0"
    }
    this.history.calls.push(call)
    // A client that gets no answer asks again, if that is safe.
    const repeats = act.type === "start" ? act.keyed : act.type !== "spy"
    for (let tries = 0; tries < (repeats ? maxTries : 1) && call.result === "unknown"; tries++) {
      if (tries > 0) yield* Effect.sleep(500 + this.#dice.below(2_000))
      yield* this.#try(call)
    }
    this.#world.simulation.note(`client ${name} ${act.type} ${call.taskId ?? conversation} -> ${call.result}`)
  })

  #try(call: Call): Effect.Effect<void> {
    // Some hang up before the answer.
    const patience = this.#dice.chance(0.1) ? this.#dice.below(300) : 60_000
    const asked = this.#world.http && call.act.type !== "spy"
      ? ask(call)(remote.manager)
      : this.#connections.call(ask(call))
    return Effect.map(Effect.exit(Effect.timeout(asked, patience)), (exit) => {
      if (Exit.isFailure(exit)) {
        const tag = tagOf(exit.cause)
        if (unknowns.has(tag)) {
          call.sure = false
          return
        }
        call.result = tag
      } else if (typeof exit.value === "string") {
        call.result = exit.value
      } else {
        call.result = "ok"
        this.#started(call, exit.value.id)
      }
      call.until = this.#world.network.commits.length
    })
  }

  #started(call: Call, id: TaskId): void {
    if (call.act.type !== "start") return
    call.taskId = id
    this.#known.set(call.conversation, [...this.#known.get(call.conversation) ?? [], id])
    if (this.#followed.delete(call.conversation)) this.#followers.begin(call.conversation)
    for (let i = 0; i < call.act.readers; i++) this.#fork(`reader ${i} of ${call.name}`, this.#read(id))
  }

  /** Reads to the end, over as many connections as it takes. */
  readonly #read = Effect.fnUntraced(function*(this: Clients, taskId: TaskId) {
    const reading: Reading = {
      taskId,
      copies: this.#world.http,
      seen: [],
      endedAt: undefined,
      early: 0,
      backwards: 0,
      short: 0,
      failures: [],
      gone: false,
      stalled: 0,
      largest: 0
    }
    this.history.readings.push(reading)
    while (true) {
      const patience = this.#dice.chance(0.3) ? this.#dice.below(4_000) : 60_000
      const stalls = this.#dice.chance(0.2)
      const connection = { open: true, large: false }
      const see = (stored: StoredEvent) => {
        if (connection.open) this.#see(reading, stored)
        const isFirstLarge = !connection.large && size(stored.event) > large
        connection.large ||= isFirstLarge
        if (!stalls && !isFirstLarge) return Effect.void
        const millis = this.#dice.below(this.#dice.chance(isFirstLarge ? largeStalls : longStalls) ? longStall : stall)
        reading.stalled += millis
        return Effect.sleep(millis)
      }
      const exit = yield* Effect.exit(Effect.timeout(this.#events(reading, see), patience))
      // What an abandoned connection still delivers reaches nobody.
      connection.open = false
      const failure = Exit.isFailure(exit) ? tagOf(exit.cause) : undefined
      if (failure === "CursorAhead" || (Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("already seen"))) {
        reading.backwards++
      } else if (failure !== undefined && !interruptions.has(failure)) reading.failures.push(failure)
      const last = reading.seen.at(-1)?.event
      reading.gone = failure === "TaskNotFound"
      if (last !== undefined && isTerminal(last)) reading.endedAt = this.#world.simulation.now
      if (reading.gone || reading.endedAt !== undefined) return
      if (Exit.isSuccess(exit)) reading.short++
      yield* Effect.sleep(this.#dice.below(800))
    }
  })

  #events(reading: Reading, see: (stored: StoredEvent) => Effect.Effect<void>): Effect.Effect<void, Tagged> {
    const { seen: { length: after }, taskId } = reading
    if (this.#world.http) return Stream.runForEach(remote.watch(taskId, { after }), see)
    return this.#connections.call((manager) =>
      Effect.flatMap(manager.events(taskId, { after }), (events) =>
        Stream.runForEachArray(events, (batch) => {
          reading.largest = Math.max(reading.largest, batch.reduce((sum, { event }) => sum + size(event), 0))
          return Effect.forEach(batch, see, { discard: true })
        }))
    )
  }

  #see(reading: Reading, stored: StoredEvent): void {
    reading.seen.push(stored)
    if ((this.#world.lastSeq(reading.taskId) ?? stored.seq) < stored.seq) reading.early++
    const { event } = stored
    if (event.type !== "tool_approval") return
    const { conversationId, taskId, toolCallId } = event
    this.#asked.set(taskId, toolCallId)
    // Every reader may answer.
    if (this.#dice.chance(0.5)) {
      const name = `reader of ${taskId}/${toolCallId} ${this.history.calls.length}`
      const decide = this.#act(conversationId, { type: "decide" }, name, { taskId, toolCallId })
      this.#fork(name, Effect.andThen(Effect.sleep(this.#dice.below(4_000)), decide))
    }
  }
}

/** The request of an act. It answers with a started task, or with a word. */
const ask =
  (call: Call) => (manager: TaskManager["Service"]): Effect.Effect<{ readonly id: TaskId } | string, Tagged> => {
    const { act, approved, conversation, name, taskId, toolCallId = "" } = call
    if (act.type === "start") {
      const options = {
        onBusy: act.onBusy,
        idempotencyKey: act.keyed ? name : undefined,
        metadata: { request: name, steps: act.steps as never }
      }
      return act.again
        ? manager.regenerate(conversation, options)
        : manager.start({ ...options, message: JSON.stringify(act.steps), conversationId: conversation })
    }
    if (act.type === "delete") return Effect.as(manager.deleteConversation(ConversationId.make(conversation)), "ok")
    if (taskId === undefined) return Effect.die("no task")
    switch (act.type) {
      case "cancel":
        return Effect.map(manager.cancel(taskId), ({ status }) => status)
      case "await":
        return Effect.map(manager.await(taskId), ({ task }) => task.status)
      case "decide":
        return Effect.as(manager.decide(taskId, toolCallId, { approved }), "ok")
      case "spy":
        return Effect.provideService(Effect.as(spy(manager, act.does, call), "ok"), CurrentUser, spyId)
    }
  }

const spyId = UserId.make("spy")

const spy = (
  manager: TaskManager["Service"],
  does: (Act & { readonly type: "spy" })["does"],
  { conversation, taskId, toolCallId = "" }: Call
): Effect.Effect<unknown, Tagged> => {
  if (taskId === undefined) return Effect.die("no task")
  switch (does) {
    case "get":
      return manager.get(taskId)
    case "events":
      return manager.events(taskId)
    case "cancel":
      return manager.cancel(taskId)
    case "decide":
      return manager.decide(taskId, toolCallId, { approved: true })
    case "regenerate":
      return manager.regenerate(conversation)
    case "delete":
      return manager.deleteConversation(ConversationId.make(conversation))
  }
}
