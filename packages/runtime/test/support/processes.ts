/**
 * Processes of a test that share one store. Each process reaches the store through its own `Line`. A test can count the
 * calls on the line, let a call fail or wait, or cut the line.
 */
import { type Agent, Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { type NotReady, Readiness } from "@perennial/domain/Readiness"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { type Array as Arr, Context, Effect, Exit, Layer, Scope } from "effect"

export type Store = Effect.Success<typeof shared>

/** A store that several processes of a test share. */
export const shared = Effect.map(
  Layer.build(MemoryStore.layer),
  (context) => ({ backend: Context.get(context, TaskBackend), store: Context.get(context, ConversationStore) })
)

/** `refused`: the store did nothing. `unanswered`: the store did it, and the reply was lost. `dies`: a bug of the store. */
export type Fault = "refused" | "unanswered" | "dies"

/** The connection of a process to its store. */
export class Line {
  /** The number of calls so far. */
  calls = 0
  /** The names of the calls so far. */
  readonly names: Array<string> = []
  fault: (call: number) => Fault | undefined = () => undefined
  /** Runs within a call, before the store gets it. `after` runs when the store has answered. */
  before: (call: number) => Effect.Effect<void> = () => Effect.void
  after: (call: number) => Effect.Effect<void> = () => Effect.void

  /** From now on all calls fail. */
  cut(): void {
    this.fault = () => "refused"
  }

  restore(): void {
    this.fault = () => undefined
  }

  through<A, E, F>(name: string, effect: Effect.Effect<A, E>, failure: F): Effect.Effect<A, E | F> {
    return Effect.suspend((): Effect.Effect<A, E | F> => {
      const call = ++this.calls
      this.names.push(name)
      const fault = this.fault(call)
      const reached = Effect.andThen(this.before(call), Effect.tap(effect, () => this.after(call)))
      switch (fault) {
        case undefined:
          return reached
        case "refused":
          return Effect.fail(failure)
        case "unanswered":
          return Effect.andThen(Effect.exit(reached), Effect.fail(failure))
        case "dies":
          return Effect.die(failure)
      }
    })
  }
}

/** The service behind a line: the effects of all its methods run through the line. */
const behind = <S extends object, F>(line: Line, service: S, failure: (operation: string) => F): S =>
  // Each method keeps its type, because the failure of the line is an error that the method declares.
  Object.fromEntries(
    Object.entries(service).map(([name, member]: readonly [string, unknown]) => [
      name,
      typeof member === "function"
        ? (...args: ReadonlyArray<unknown>) =>
          line.through(name, Reflect.apply(member, undefined, args) as Effect.Effect<unknown>, failure(name))
        : member
    ])
  ) as S

export interface Process {
  readonly manager: TaskManager["Service"]
  readonly line: Line
  readonly ready: Effect.Effect<void, NotReady>
  /** Ends the process like SIGTERM. */
  readonly terminate: Effect.Effect<void>
}

type Between = TaskBackend | ConversationStore | Agents

/** Starts a process with its own line to the store. `observed` is between the runtime and the line. */
export const startProcess = Effect.fnUntraced(function*(
  { backend, store }: Store,
  agents: Arr.NonEmptyReadonlyArray<Agent>,
  limits: TaskLimits.Options = {},
  observed: Layer.Layer<Between, never, Between> = Layer.effectContext(Effect.context<Between>())
) {
  const line = new Line()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(
    TaskRuntime.layer.pipe(
      Layer.provide(observed),
      Layer.provide(Layer.mergeAll(
        Layer.succeed(
          TaskBackend,
          behind(
            line,
            backend,
            (operation) => new TaskBackendError({ operation, cause: "the line" })
          )
        ),
        Layer.succeed(
          ConversationStore,
          behind(
            line,
            store,
            (operation) => new ConversationStoreError({ operation, cause: "the line" })
          )
        ),
        Agents.layer(agents),
        TaskLimits.layer(limits)
      ))
    ),
    scope
  )
  const out: Process = {
    manager: Context.get(context, TaskManager),
    line,
    ready: Context.get(context, Readiness),
    terminate: Scope.close(scope, Exit.void)
  }
  return out
})
