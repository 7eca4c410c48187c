/**
 * Traces and metrics of tasks: a layer between the runtime and what it works with.
 *
 * A task is one trace, from the request that started it over its wait, its attempts in any processes, their model requests
 * and tools, to its end. The trace is stored with the task. If the process of an attempt dies, the next owner writes the
 * spans that the dead process could not export. Spans and metrics have ids, names, numbers and codes; they have no texts of
 * users, models and tools.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Clock, Context, Effect, Layer, Tracer } from "effect"
import { observedAgents } from "./internal/telemetry/observedAgents.ts"
import { observedBackend } from "./internal/telemetry/observedBackend.ts"
import { OwnedTasks } from "./internal/telemetry/ownedTasks.ts"
import { CurrentSampler, makeSampler, sampled } from "./internal/telemetry/sampler.ts"
import { silentStore } from "./internal/telemetry/storeSpans.ts"
import { withoutContents } from "./internal/telemetry/withoutContents.ts"

/**
 * What is recorded beside the spans and metrics of tasks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Spans of the statements of stores; false by default. There is one for each statement, also for the statements of the
   * sweep and of the lease.
   */
  readonly storage?: boolean | undefined
}

/**
 * Observes tasks. Provide it to `TaskRuntime.layer`, and provide agents and storage to it. Without a tracer (see
 * `layerTracer`) it makes metrics only.
 *
 * **Example** (between the runtime and its storage)
 *
 * ```ts
 * import * as Agent from "@perennial/domain/Agent"
 * import * as MemoryStore from "@perennial/domain/MemoryStore"
 * import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
 * import * as TaskTelemetry from "@perennial/runtime/TaskTelemetry"
 * import { Layer } from "effect"
 *
 * declare const agent: Agent.Agent
 *
 * const Tasks = TaskRuntime.layer.pipe(
 *   Layer.provide(TaskTelemetry.layer()),
 *   Layer.provide(Agent.Agents.layer([agent])),
 *   Layer.provide(MemoryStore.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<TaskBackend | Agents | ConversationStore, never, TaskBackend | Agents | ConversationStore> =>
  Layer.effectContext(Effect.gen(function*() {
    const storage = options.storage ?? false
    const tasks = new OwnedTasks()
    const store = yield* ConversationStore
    return Context.make(TaskBackend, observedBackend(yield* TaskBackend, tasks, { storage })).pipe(
      Context.add(Agents, observedAgents(yield* Agents, tasks)),
      Context.add(ConversationStore, storage ? store : silentStore(store))
    )
  }))

/**
 * Keeps texts of users, models and tools out of the spans of any tracer: the arguments of tools, and the messages of
 * failed model requests and tools, of which only the code stays. Provide it to everything that makes spans, and provide the
 * tracer to it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutContents: Layer.Layer<never> = Layer.effect(
  Tracer.Tracer,
  Effect.map(Effect.tracer, withoutContents)
)

/**
 * Records a part of the traces: `ratio`, from 0 for none to 1 for all, and at most `perSecond` new ones in a second, on average
 * (no bound by default). The bound limits the cost of traces in a process that has very much to do, and changes nothing in
 * others. Provide the layer to everything that makes spans, and provide the tracer to it.
 *
 * **Details** The rule is `parentbased_traceidratio` of OpenTelemetry. A request that comes with a trace follows its caller.
 * About other traces the id of the trace decides, and then the bound; all spans of the trace follow, in any process. Metrics
 * count every task.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSampled = (ratio: number, perSecond = Infinity): Layer.Layer<never> =>
  Layer.effectContext(Effect.gen(function*() {
    const sampler = makeSampler(yield* Clock.Clock, { perSecond, ratio })
    return Context.add(Context.make(Tracer.Tracer, sampled(yield* Effect.tracer, sampler)), CurrentSampler, sampler)
  }))
