/** Connections of clients to processes. A request runs as a fiber of its process; the client only waits for the reply. */
import type { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Exit, type Fiber, Stream } from "effect"
import type { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import type { Dice } from "./dice.ts"
import { Pipe } from "./pipe.ts"
import type { Process } from "./process.ts"
import type { Actor, Simulation } from "./simulation.ts"
import type { Tagged } from "./words.ts"

/** The connection broke. The request may have had its effect. */
class Broken {
  readonly _tag = "Broken"
}

/** The processes that clients connect to. */
export interface Processes {
  readonly simulation: Simulation
  readonly processes: ReadonlyArray<Process | undefined>
}

/** How many of the responses over HTTP are cut, and after how many bytes at most. */
const cuts = 0.4
const maxBytes = 1_500

export class Connections {
  readonly #world: Processes
  readonly #dice: Dice
  readonly #clients: Actor

  constructor(world: Processes, dice: Dice, clients: Actor) {
    this.#world = world
    this.#dice = dice
    this.#clients = clients
  }

  /** Asks any process. */
  call<A>(what: (manager: TaskManager["Service"]) => Effect.Effect<A, Tagged>): Effect.Effect<A, Tagged> {
    return Effect.callback<A, Tagged>((resume) => {
      const reply = (exit: Exit.Exit<A, Tagged>) => this.#reply(() => resume(exit))
      const process = this.#any
      if (process?.manager === undefined) return void reply(Exit.fail(new Broken()))
      const { manager } = process
      const hangUp = this.#run(process, what(manager), reply, () => reply(Exit.fail(new Broken())))
      return Effect.sync(hangUp)
    })
  }

  /** Sends a request over HTTP to any process. Its response may be cut after any byte. */
  request(
    request: HttpClientRequest.HttpClientRequest
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> {
    return Effect.flatMap(
      Effect.suspend(() =>
        Pipe.make(request, this.#dice.chance(cuts) ? this.#dice.below(maxBytes) : Number.MAX_SAFE_INTEGER)
      ),
      (pipe) => this.#send(request, pipe)
    )
  }

  #send(
    request: HttpClientRequest.HttpClientRequest,
    pipe: Pipe
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> {
    return Effect.callback((resume) => {
      const process = this.#any
      const lost = () => {
        resume(Effect.fail(pipe.lost))
        pipe.cut()
      }
      if (process?.http === undefined) return void this.#reply(lost)
      return Effect.sync(this.#serve(process, request, pipe, resume, lost))
    })
  }

  #serve(
    process: Process,
    request: HttpClientRequest.HttpClientRequest,
    pipe: Pipe,
    resume: (response: Effect.Effect<HttpClientResponse.HttpClientResponse>) => void,
    lost: () => void
  ): () => void {
    const hangUp: () => void = this.#run(
      process,
      process.http?.(request, (response) => {
        const isStream = response.headers["content-type"]?.startsWith("text/event-stream") === true
        // The process has done what the client asked for, and the client does not know it.
        if (!isStream && pipe.cutsBefore(Number(response.headers["content-length"] ?? 0))) {
          this.#reply(lost)
          return Effect.void
        }
        const body = Stream.ensuring(pipe.stream, Effect.sync(() => hangUp()))
        this.#reply(() => resume(Effect.succeed(isStream ? withStream(response, body) : response)))
        return isStream ? pipe.write(response.stream) : Effect.void
      }) ?? Effect.void,
      () => {},
      () => this.#reply(lost)
    )
    return hangUp
  }

  get #any(): Process | undefined {
    const { processes } = this.#world
    return processes[this.#dice.below(processes.length)]
  }

  #reply(run: () => void): void {
    this.#world.simulation.push(this.#clients, run)
  }

  /** Runs a request in a process. Returns a function that hangs up. */
  #run<A>(
    { actor, connections }: Process,
    effect: Effect.Effect<A, Tagged>,
    ended: (exit: Exit.Exit<A, Tagged>) => void,
    broken: () => void
  ): () => void {
    const { simulation } = this.#world
    let fiber: Fiber.Fiber<A, Tagged> | undefined
    let hungUp = false
    connections.add(broken)
    simulation.push(actor, () => {
      if (hungUp) return
      fiber = Effect.runForkWith(actor.context)(effect)
      fiber.addObserver((exit) => {
        connections.delete(broken)
        ended(exit)
      })
    })
    return () => {
      hungUp = true
      connections.delete(broken)
      simulation.push(actor, () => fiber?.interruptUnsafe())
    }
  }
}

/** A response with another body. */
const withStream = (
  response: HttpClientResponse.HttpClientResponse,
  stream: HttpClientResponse.HttpClientResponse["stream"]
): HttpClientResponse.HttpClientResponse => Object.create(response, { stream: { value: stream } })
