/** One start of a process: the runtime over the network, with an agent. */
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Lease } from "@perennial/runtime/Lease"
import { TaskEngine } from "@perennial/runtime/TaskEngine"
import { TaskExecutor } from "@perennial/runtime/TaskExecutor"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { type Publisher, TaskReaders } from "@perennial/runtime/TaskReaders"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { type Handler, makeHandler } from "./http.ts"
import * as LlmAgent from "./llmAgent.ts"
import type { Network } from "./network.ts"
import type { Plan } from "./plan.ts"
import { type Deed, scriptedAgent } from "./scriptedAgent.ts"
import type { Actor, Simulation } from "./simulation.ts"

export class Process {
  readonly actor: Actor
  readonly #scope = Scope.makeUnsafe()
  /** Undefined until the process is ready. */
  manager: TaskManager["Service"] | undefined
  /** Undefined until the process is ready, and in worlds without HTTP. */
  http: Handler | undefined
  /** Whether it was told to end, which takes a while: as long as it is frozen meanwhile. */
  isEnding = false
  /** Called when the process is gone: its connections break. */
  readonly connections = new Set<() => void>()
  /** The publishers of executions that have not ended. */
  readonly publishers = new Set<Publisher>()
  /** The longest time that a publisher took to show events to readers, in milliseconds. */
  slowestPublish = 0

  constructor(actor: Actor) {
    this.actor = actor
  }

  /** Builds the runtime. `ready` is called when that succeeded or failed. */
  begin(
    { http, limits, llm }: Plan,
    { network, record, simulation }: {
      readonly network: Network
      readonly simulation: Simulation
      readonly record: (deed: Deed) => void
    },
    ready: (succeeded: boolean) => void
  ): void {
    const { actor } = this
    const agent = { process: actor.name, record }
    const layer = TaskRuntime.layerManager.pipe(
      // Another engine is another line here.
      Layer.provide(TaskEngine.layerLocal),
      Layer.provide(TaskExecutor.layer),
      Layer.provide([Lease.layer, this.#layerReaders(simulation)]),
      Layer.provideMerge(Layer.mergeAll(
        Layer.succeed(TaskBackend, network.backendOf(actor)),
        Layer.succeed(ConversationStore, network.storeOf(actor)),
        llm ? LlmAgent.layer(agent) : Agents.layer([scriptedAgent(agent)]),
        Layer.succeed(TaskLimits.CurrentTaskLimits, {
          ...TaskLimits.defaults,
          ...limits,
          taskTimeout: Duration.millis(limits.taskTimeoutMillis)
        })
      ))
    )
    const built = Layer.build(layer).pipe(
      Effect.flatMap((services) =>
        Effect.map(http ? Effect.provideContext(makeHandler, services) : Effect.undefined, (handler) => {
          this.manager = Context.get(services, TaskManager)
          this.http = handler
        })
      ),
      Effect.tapCause((cause) => Effect.logError("The process does not start.", cause)),
      Effect.provideService(Scope.Scope, this.#scope)
    )
    simulation.push(actor, () => {
      Effect.runForkWith(actor.context)(built).addObserver((exit) => ready(Exit.isSuccess(exit)))
    })
  }

  /** Ends the process as SIGTERM does. */
  terminate(simulation: Simulation, ended: () => void): void {
    this.isEnding = true
    simulation.push(this.actor, () => {
      Effect.runForkWith(this.actor.context)(Scope.close(this.#scope, Exit.void)).addObserver(ended)
    })
  }

  /** The readers. The process remembers their publishers, and how long these took. */
  #layerReaders(simulation: Simulation): Layer.Layer<TaskReaders, never, TaskBackend> {
    const { publishers } = this
    const remembering = Effect.map(TaskReaders, (readers) =>
      TaskReaders.of({
        ...readers,
        own: (id, lastSeq, userId) => {
          const owned = readers.own(id, lastSeq, userId)
          const publisher: Publisher = {
            publish: (events) =>
              Effect.suspend(() => {
                const from = simulation.now
                return Effect.map(owned.publish(events), () => {
                  this.slowestPublish = Math.max(this.slowestPublish, simulation.now - from)
                })
              }),
            disown: () => {
              publishers.delete(publisher)
              owned.disown()
            }
          }
          publishers.add(publisher)
          return publisher
        }
      }))
    return Layer.provide(Layer.effect(TaskReaders, remembering), TaskReaders.layer)
  }
}
