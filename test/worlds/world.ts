/** Several processes over one store, their clients, and everything that goes wrong. A world runs until it comes to rest. */
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { ConversationId, type MessageId, type TaskId, UserId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Exit } from "effect"
import { Clients, type History } from "./clients.ts"
import type { Commit } from "./commit.ts"
import { Dice } from "./dice.ts"
import { Followers, type Following } from "./followers.ts"
import { Network } from "./network.ts"
import { type Fault, type Plan, quietAt } from "./plan.ts"
import { Process } from "./process.ts"
import type { Deed } from "./scriptedAgent.ts"
import { type Actor, Simulation } from "./simulation.ts"

/** A task and its log. */
export interface Kept {
  readonly task: Task
  readonly log: ReadonlyArray<StoredEvent>
}

/** From when until when a process was ready and not frozen, by the store's time. */
export interface Uptime {
  readonly from: number
  until: number
}

/** Everything that the oracle sees. */
export interface Observed {
  readonly plan: Plan
  readonly history: History
  readonly followings: ReadonlyArray<Following>
  readonly commits: ReadonlyArray<Commit>
  readonly deeds: ReadonlyArray<Deed>
  /** All tasks that were accepted, also those of deleted conversations. */
  readonly tasks: ReadonlyMap<TaskId, Kept>
  /** The tasks of deleted conversations. */
  readonly deleted: ReadonlySet<TaskId>
  /** The messages of each conversation: their ids, in order. Undefined if there is no such conversation. */
  readonly conversations: ReadonlyMap<string, ReadonlyArray<MessageId> | undefined>
  /** The conversations that the list of the user has. */
  readonly listed: ReadonlyArray<ConversationId>
  readonly uptimes: ReadonlyArray<Uptime>
  /** The longest time that a process took to show events to its readers, in milliseconds. */
  readonly slowestPublish: number
  /** What is still open although it should have ended. */
  readonly open: ReadonlyArray<string>
  /** What is left in the processes of a world that has come to rest. */
  readonly left: ReadonlyArray<string>
}

export const user = UserId.make("local")

/** A world that has not ended after this time never will, in milliseconds: tasks of a conversation wait for child tasks of a minute. */
const patience = 600_000
const maxSteps = 400_000
/** How long the processes are observed at rest: more than one comparison of logs, which happens every 5 s. */
const restMillis = 6_000
/** A process whose lease was in doubt does not sweep until it has a lease again, and a third of a lease longer. */
const doubtMillis = 14_000
/** How long the processes may take to end. */
const endMillis = 30_000

export class World {
  readonly #plan: Plan
  readonly simulation: Simulation
  readonly network: Network
  readonly http: boolean
  readonly #clients: Clients
  readonly #followers: Followers
  readonly #operator: Actor
  readonly #deeds: Array<Deed> = []
  readonly #deleted = new Map<TaskId, Kept>()
  readonly #uptimes: Array<Uptime> = []
  /** The present uptime of each process. */
  readonly #up = new Map<Process, Uptime>()
  /** By place; undefined while there is none. */
  readonly processes: Array<Process | undefined> = []
  #starts = 0

  constructor(plan: Plan, traced: boolean) {
    this.#plan = plan
    this.simulation = new Simulation(new Dice(plan.seed, 2), { reorders: plan.reorders, traced })
    this.network = new Network(this.simulation, new Dice(plan.seed, 3), plan.weather)
    this.http = plan.http
    this.#followers = new Followers(this, new Dice(plan.seed, 7))
    this.#clients = new Clients(this, new Dice(plan.seed, 4), this.#followers)
    this.#operator = this.simulation.actor("operator")
  }

  run(): Observed {
    const { network, simulation } = this
    network.onDelete = ({ args: [{ conversationId }] }) => {
      for (const kept of this.#tasks(conversationId)) this.#deleted.set(kept.task.id, kept)
    }
    for (const place of this.#plan.skews.keys()) this.#start(place)
    for (const fault of this.#plan.faults) simulation.after(fault.at, this.#operator, () => this.#strike(fault))
    simulation.after(quietAt, this.#operator, () => {
      network.quiet = true
      network.outageUntil = 0
    })
    for (const script of this.#plan.scripts) this.#clients.begin(script)
    this.#runUntil(() => this.#hasEnded, patience)
    const open = this.#hasEnded ? [] : [...this.#open, ...this.#behind]
    const left = open.length === 0 ? this.#rest() : []
    const tasks = new Map(this.#deleted)
    const present = new Set<TaskId>()
    for (const kept of this.#tasks()) {
      tasks.set(kept.task.id, kept)
      present.add(kept.task.id)
    }
    return {
      plan: this.#plan,
      history: this.#clients.history,
      followings: this.#followers.followings,
      commits: network.commits,
      deeds: this.#deeds,
      tasks,
      deleted: new Set([...tasks.keys()].filter((id) => !present.has(id))),
      conversations: new Map(
        this.#plan.scripts.map(({ conversation }) => [conversation, this.#messages(conversation)])
      ),
      listed: this.#listed(),
      uptimes: this.#uptimes,
      slowestPublish: Math.max(...this.processes.map((process) => process?.slowestPublish ?? 0)),
      open,
      left
    }
  }

  /** The seq of the newest durable event. Undefined if the task was deleted. */
  lastSeq(id: TaskId): number | undefined {
    const exit = this.network.ask(this.network.backend.lastSeqs([id]))
    return Exit.isSuccess(exit) ? exit.value[0]?.lastSeq : undefined
  }

  isDurable({ seq, taskId }: EventPlace): boolean {
    return (this.lastSeq(taskId) ?? seq) >= seq
  }

  #runUntil(done: () => boolean, millis: number): void {
    const { simulation } = this
    const until = simulation.elapsed + millis
    while (!(simulation.steps % 64 === 0 && done())) {
      if (simulation.elapsed > until || simulation.steps > maxSteps || !simulation.step()) return
    }
  }

  get #hasEnded(): boolean {
    return this.simulation.elapsed > quietAt && this.#clients.open === 0 && this.#open.length === 0
      && this.#behind.length === 0
  }

  get #open(): ReadonlyArray<string> {
    const tasks = this.network.ask(
      this.network.backend.list({ userId: user, status: ["queued", "running"], limit: 1_000 })
    )
    return [
      ...(Exit.isSuccess(tasks) ? tasks.value.map(({ id, status }) => `task ${id} is ${status}`) : []),
      ...this.#clients.waiting.map((what) => `${what} waits`),
      ...Array.from(
        this.processes,
        (process, place) => process === undefined || !this.#up.has(process) ? `process ${place} is not up` : ""
      ).filter((what) => what !== "")
    ]
  }

  /** The followers that have not seen the end of a task. */
  get #behind(): ReadonlyArray<string> {
    return this.#followers.open.filter(({ conversation, seen }) => {
      const tasks = this.network.ask(
        this.network.backend.list({ userId: user, conversationId: ConversationId.make(conversation), limit: 1_000 })
      )
      const places = new Set(seen.map((stored) => `${placeOf(stored).taskId}/${stored.seq}`))
      return Exit.isSuccess(tasks) && !tasks.value.every(({ id, lastSeq }) => places.has(`${id}/${lastSeq}`))
    }).map(({ conversation }) => `a follower of ${conversation} waits`)
  }

  #tasks(conversationId?: ConversationId): ReadonlyArray<Kept> {
    const { backend } = this.network
    const tasks = this.network.ask(backend.list({ userId: user, conversationId, limit: 1_000 }))
    return Exit.isFailure(tasks) ? [] : tasks.value.map((task) => {
      const page = this.network.ask(
        backend.events(task.id, { after: 0, limit: 1_000, maxBytes: Number.MAX_SAFE_INTEGER })
      )
      return { task, log: Exit.isSuccess(page) ? page.value.events : [] }
    })
  }

  #messages(conversation: string): ReadonlyArray<MessageId> | undefined {
    const key = { id: ConversationId.make(conversation), userId: user }
    const page = this.network.ask(this.network.store.messages(key, { limit: 1_000 }))
    return Exit.isSuccess(page) ? page.value.map(({ id }) => id) : undefined
  }

  #listed(): ReadonlyArray<ConversationId> {
    const page = this.network.ask(this.network.store.list({ userId: user, limit: 1_000 }))
    return Exit.isSuccess(page) ? page.value.map(({ id }) => id) : []
  }

  #start(place: number): void {
    const { network, simulation } = this
    const process = new Process(simulation.actor(`p${place}.${++this.#starts}`, this.#plan.skews[place]))
    this.processes[place] = process
    const record = (deed: Deed) => {
      this.#deeds.push(deed)
      simulation.note(`${deed.process} agent ${deed.type} ${deed.taskId}/${deed.call}`, () => `attempt ${deed.attempt}`)
    }
    process.begin(this.#plan, { network, simulation, record }, (succeeded) => {
      if (succeeded) this.#isUp(process)
      else this.#end(place, process, 1_000)
    })
  }

  #isUp(process: Process): void {
    const uptime = { from: this.simulation.now, until: Number.POSITIVE_INFINITY }
    this.#up.set(process, uptime)
    this.#uptimes.push(uptime)
  }

  #isDown(process: Process): void {
    const uptime = this.#up.get(process)
    if (uptime !== undefined) uptime.until = this.simulation.now
    this.#up.delete(process)
  }

  /** Ends a process as it is, and starts another one in its place. */
  #end(place: number, process: Process, millis: number): void {
    if (this.processes[place] !== process) return
    this.#isDown(process)
    this.simulation.kill(process.actor)
    this.processes[place] = undefined
    for (const broken of process.connections) broken()
    this.simulation.after(millis, this.#operator, () => this.#start(place))
  }

  #strike({ millis, place, type }: Fault): void {
    const { network, simulation } = this
    const process = this.processes[place]
    const isUp = process?.actor.state === "up"
    if (type === "outage" || isUp) {
      simulation.note(
        `-- ${type}`,
        () => `${isUp && type !== "outage" ? process.actor.name : "of the store"} for ${millis} ms`
      )
    }
    if (type === "outage") {
      if (!network.quiet) network.outageUntil = simulation.now + millis
      return
    }
    if (process === undefined || !isUp) return
    this.#isDown(process)
    switch (type) {
      case "kill":
        return this.#end(place, process, millis)
      case "terminate":
        return process.terminate(simulation, () => this.#end(place, process, millis))
      case "freeze":
        return this.#freeze(process, millis, () => {
          if (process.manager !== undefined && !process.isEnding) this.#isUp(process)
        })
      case "expire":
        return this.#freeze(
          process,
          9_000 + millis / 2,
          () => process.terminate(simulation, () => this.#end(place, process, millis))
        )
    }
  }

  #freeze({ actor }: Process, millis: number, then: () => void): void {
    actor.state = "frozen"
    this.simulation.after(millis, this.#operator, () => {
      if (actor.state !== "frozen") return
      this.simulation.note(`-- ${actor.name} continues`)
      actor.state = "up"
      then()
    })
  }

  /** Observes the processes at rest, ends them, and returns what is left in them. */
  #rest(): ReadonlyArray<string> {
    const { network, simulation } = this
    const left: Array<string> = []
    this.#followers.leave()
    const processes = this.processes.filter((process) => process !== undefined)
    // A start may have been on its way, and its task ends, too.
    this.#runUntil(() => false, restMillis)
    this.#runUntil(() => this.#hasEnded, patience)
    const from = simulation.now
    this.#runUntil(() => false, restMillis)
    const haveSwept = () => processes.every(({ actor }) => (network.traffic.get(actor)?.sweptAt ?? 0) > from)
    this.#runUntil(haveSwept, doubtMillis)
    const { capacity } = this.#plan.limits
    for (const { actor, publishers } of processes) {
      const traffic = network.traffic.get(actor)
      if (traffic === undefined || traffic.sweptAt <= from || traffic.free !== capacity) {
        left.push(
          `${actor.name} has ${
            traffic === undefined || traffic.sweptAt <= from ? 0 : traffic.free
          } of ${capacity} places free`
        )
      }
      if (traffic !== undefined && traffic.comparedAt > from) left.push(`${actor.name} watches logs without readers`)
      if (publishers.size > 0) left.push(`${actor.name} has ${publishers.size} hubs of tasks that have ended`)
    }
    let ended = 0
    for (const process of processes) process.terminate(simulation, () => ended++)
    this.#runUntil(
      () => ended === processes.length && processes.every(({ actor }) => actor.ready.length === 0),
      endMillis
    )
    for (const { actor } of processes) {
      const timers = simulation.timersOf(actor)
      if (actor.fibers > 0) left.push(`${actor.name} has ended with ${actor.fibers} fibers`)
      if (timers > 0) left.push(`${actor.name} has ended with ${timers} timers`)
    }
    return left
  }
}
