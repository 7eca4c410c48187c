/**
 * The runtime as Layers: each provides `TaskManager`, `HandOver` for the end of the process, `Readiness`, `TaskOwners` and
 * `TaskRecords`.
 *
 * @since 0.1.0
 */
import type { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { HandOver } from "@perennial/domain/HandOver"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { Readiness } from "@perennial/domain/Readiness"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { TaskOwners } from "@perennial/domain/TaskOwners"
import { TaskRecords } from "@perennial/domain/TaskRecords"
import { Context, Effect, Layer, Option } from "effect"
import { Digest } from "effect/crypto"
import { make } from "./internal/manager/taskManager.ts"
import * as BoundedStores from "./internal/task/boundedStores.ts"
import { WritesAnswered } from "./internal/task/pendingWrites.ts"
import { Lease } from "./Lease.ts"
import { TaskEngine } from "./TaskEngine.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { TaskReaders } from "./TaskReaders.ts"

/** The digest of the application, if it provides one: Web Crypto answers with a promise, which a simulation cannot order. */
const layerDigest: Layer.Layer<Digest.Digest> = Layer.unwrap(Effect.map(
  Effect.serviceOption(Digest.Digest),
  Option.match({
    // oxlint-disable-next-line perennial/no-escapes -- the service that a simulation replaces
    onNone: () => Digest.layerWebCrypto,
    onSome: (digest) => Layer.succeed(Digest.Digest, digest)
  })
))

/**
 * The manager alone. The application provides executor, lease and engine.
 *
 * **When to use** With an engine of your own. Otherwise use `layer`.
 *
 * **Details** Requests with an idempotency key are compared by SHA-256: with the `Digest` of the application, if it provides
 * one, otherwise with Web Crypto.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerManager: Layer.Layer<
  TaskManager | TaskRecords,
  never,
  TaskEngine | TaskExecutor | Lease | TaskReaders | TaskBackend | ConversationStore | Agents
> = Layer.effectContext(
  Effect.gen(function*() {
    const { drain } = yield* TaskEngine
    const { renewed } = yield* Lease
    const ready = Effect.andThen(renewed, yield* WritesAnswered)
    const backend = yield* TaskBackend
    return Context.make(TaskManager, yield* make).pipe(
      Context.add(TaskRecords, backend),
      Context.add(HandOver, drain),
      Context.add(Readiness, ready),
      Context.add(
        TaskOwners,
        (ids) =>
          Effect.map(backend.owners(ids), (owners) => new Map(owners.map(({ runnerId, taskId }) => [taskId, runnerId])))
      )
    )
  })
).pipe(Layer.provide(layerDigest))

/** What an engine needs beside the services that the runtime provides to it. */
type EngineRequirements<R> = Exclude<
  Exclude<Exclude<R, TaskExecutor>, Lease | TaskReaders>,
  TaskBackend | ConversationStore
>

/**
 * The runtime with another engine, over any store.
 *
 * **When to use** For a cluster (`TaskEngineCluster`), or for an engine of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithEngine = <E, R>(
  engine: Layer.Layer<TaskEngine, E, R>
): Layer.Layer<
  TaskManager | TaskRecords,
  E | TaskBackendError,
  EngineRequirements<R> | TaskBackend | ConversationStore | Agents
> =>
  layerManager.pipe(
    Layer.provide(engine),
    Layer.provide(TaskExecutor.layer),
    Layer.provide([Lease.layer, TaskReaders.layer]),
    Layer.provide(BoundedStores.layer)
  )

/**
 * Executes tasks in this process, over any store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  TaskManager | TaskRecords,
  TaskBackendError,
  TaskBackend | ConversationStore | Agents
> = layerWithEngine(TaskEngine.layerLocal)

/**
 * Everything for tests and first steps: executes tasks in this process, over a memory store, which ends with the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<
  TaskManager | TaskRecords | TaskBackend | ConversationStore,
  TaskBackendError,
  Agents
> = layer.pipe(Layer.provideMerge(MemoryStore.layer))
