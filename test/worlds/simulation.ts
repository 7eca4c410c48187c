/**
 * The order and the time of one world. Everything that runs is a step of an actor, and seeded dice draw the next step: the
 * same seed makes the same world. A world is one synchronous loop. It never waits for a promise or a timer of the platform.
 *
 * `TestClock` is not used: it does not tell the time of the next sleep, and all fibers would have the same time.
 */
import { NewId } from "@perennial/domain/Ids"
import { Clock, Context, Duration, Effect, type Fiber, Logger, Metric, Random, References, Scheduler } from "effect"
import { Digest } from "effect/crypto"
import { createHash } from "node:crypto"
import type { Dice } from "./dice.ts"

/** A part of the world with steps of its own: a process, the clients, or the network. */
export interface Actor {
  readonly name: string
  readonly ready: Array<() => void>
  /** `frozen`: it does nothing for a while. `dead`: it never does anything again, not even a finalizer. */
  state: "up" | "frozen" | "dead"
  /** How many of its fibers have not ended. */
  readonly fibers: number
  /** The context of its fibers: they all inherit its scheduler and its clock. */
  readonly context: Context.Context<never>
}

interface Timer {
  readonly at: number
  readonly actor: Actor
  readonly run: () => void
  cancelled: boolean
}

/** One line of the trace. */
export interface Line {
  /** Milliseconds since the beginning of the world. */
  readonly at: number
  readonly text: string
}

/** The store's clock at the beginning of a world, in milliseconds since 1970-01-01T00:00Z: nothing may depend on the date. */
export const beginning = 100 * 24 * 3_600_000

/** Of 100 steps, in about one time passes although there is something to do: nothing that runs is infinitely fast. */
const passing = 0.01

export class Simulation {
  readonly #dice: Dice
  readonly #reorders: boolean
  readonly #actors: Array<Actor> = []
  /** The latest first. */
  readonly #timers: Array<Timer> = []
  #ids = 0
  #hash = 0
  /** The store's clock, in milliseconds since 1970-01-01T00:00Z. */
  now = beginning
  steps = 0
  /** Undefined unless the world is traced. */
  readonly trace: Array<Line> | undefined

  /** `reorders`: the steps of one actor run in any order, not as they came. */
  constructor(dice: Dice, options: { readonly reorders: boolean; readonly traced: boolean }) {
    this.#dice = dice
    this.#reorders = options.reorders
    this.trace = options.traced ? [] : undefined
  }

  /** A hash of everything that was drawn and noted. It is equal for equal worlds, traced or not. */
  get hash(): number {
    return this.#hash >>> 0
  }

  /** Milliseconds since the beginning of the world. */
  get elapsed(): number {
    return this.now - beginning
  }

  /** Adds an actor, whose clock differs by `skewMillis` from the store's. */
  actor(name: string, skewMillis = 0): Actor {
    let fibers = 0
    const actor: Actor = {
      name,
      ready: [],
      state: "up",
      get fibers() {
        return fibers
      },
      context: Context.make(Scheduler.Scheduler, this.#scheduler(() => actor)).pipe(
        Context.add(Clock.Clock, this.#clock(() => actor, skewMillis)),
        Context.add(Random.Random, this.#dice.random),
        Context.add(NewId, Effect.sync(() => `id-${String(++this.#ids).padStart(6, "0")}`)),
        Context.add(Digest.Digest, digest),
        Context.add(References.TracerEnabled, false),
        Context.add(Metric.FiberRuntimeMetrics, {
          recordFiberStart: () => void fibers++,
          recordFiberEnd: () => void fibers--
        }),
        Context.add(
          Logger.CurrentLoggers,
          new Set([Logger.make(({ message }) => this.note(`${name} logs`, () => String(message).slice(0, 900)))])
        )
      )
    }
    this.#actors.push(actor)
    return actor
  }

  /** Lets an actor run something when it is drawn. */
  push(actor: Actor, run: () => void): void {
    if (actor.state !== "dead") actor.ready.push(run)
  }

  /** The same after so many milliseconds. Returns a function that cancels it. */
  after(millis: number, actor: Actor, run: () => void): () => void {
    if (millis <= 0) {
      this.push(actor, run)
      return () => {}
    }
    const timer: Timer = { at: this.now + millis, actor, run, cancelled: false }
    let place = this.#timers.length
    while (place > 0 && (this.#timers[place - 1]?.at ?? 0) <= timer.at) place--
    this.#timers.splice(place, 0, timer)
    return () => {
      timer.cancelled = true
    }
  }

  /** How many timers an actor has. */
  timersOf(actor: Actor): number {
    return this.#timers.filter((timer) => timer.actor === actor && !timer.cancelled).length
  }

  /** An actor is gone, with everything that it had in memory. Its finalizers do not run. */
  kill(actor: Actor): void {
    actor.state = "dead"
    actor.ready.length = 0
    this.#actors.splice(this.#actors.indexOf(actor), 1)
  }

  /** Runs one step, or lets time pass until the next timer. False if nothing will ever happen again. */
  step(): boolean {
    this.steps++
    const able = this.#actors.filter(({ ready, state }) => state === "up" && ready.length > 0)
    const drawn = this.#dice.below(able.length)
    const actor = able[drawn]
    if (actor === undefined || this.#dice.chance(passing)) return this.#pass() || actor !== undefined
    const place = this.#reorders ? this.#dice.below(actor.ready.length) : 0
    this.#mix(place + 31 * drawn)
    for (const run of actor.ready.splice(place, 1)) run()
    return true
  }

  /** Notes what happened. The details are made only in a traced world, and are not part of the hash. */
  note(what: string, details: () => string = () => ""): void {
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i))
    this.trace?.push({ at: this.elapsed, text: `${what} ${details()}`.trimEnd() })
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193)
  }

  #pass(): boolean {
    let timer = this.#timers.pop()
    while (timer !== undefined && (timer.cancelled || timer.actor.state === "dead")) timer = this.#timers.pop()
    if (timer === undefined) return false
    this.now = timer.at
    // A frozen actor finds out when it continues. Steps that are due at the same time come in any order.
    for (; timer?.at === this.now; timer = this.#timers.pop()) if (!timer.cancelled) this.push(timer.actor, timer.run)
    if (timer !== undefined) this.#timers.push(timer)
    return true
  }

  #scheduler(actor: () => Actor): Scheduler.Scheduler {
    let budget = 200
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (run) => this.push(actor(), run),
      flush: () => {
        throw new Error("A fiber of a world was run synchronously.")
      }
    }
    return {
      executionMode: "async",
      shouldYield: (fiber: Fiber.Fiber<unknown, unknown>) => {
        if (fiber.currentOpCount < budget) return false
        budget = 3 + this.#dice.below(400)
        return true
      },
      makeDispatcher: () => dispatcher
    }
  }

  #clock(actor: () => Actor, skewMillis: number): Clock.Clock {
    const time = () => this.now + skewMillis
    const millis = () => Math.floor(time())
    const nanos = () => BigInt(Math.round(time() * 1_000_000))
    // The monotonic clock of a process begins anywhere, and does not follow its wall clock.
    const monotonic = () => BigInt(Math.round(this.elapsed * 1_000_000))
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) =>
        Duration.isFinite(duration)
          ? Effect.callback((resume) => {
            const cancel = this.after(Duration.toMillis(duration), actor(), () => resume(Effect.void))
            return Effect.sync(cancel)
          })
          : Effect.never
    }
  }
}

/** Web Crypto answers with a promise, which would leave the order of the world. */
const hash = ({ name }: Digest.Algorithm, data: Uint8Array) => createHash(name.replace("-", "")).update(data)

const digest = Digest.Digest.of({
  digest: (algorithm, data) => Effect.sync(() => hash(algorithm, data).digest()),
  digestHex: (algorithm, data) => Effect.sync(() => hash(algorithm, data).digest("hex"))
})
