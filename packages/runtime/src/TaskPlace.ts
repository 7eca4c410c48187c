/**
 * The place of a task in the capacity of its process (P11).
 *
 * A task that only waits, for a person or for another task, should not prevent other tasks from running. It gives back its
 * place while it waits.
 *
 * @since 0.1.0
 */
import { Context, Effect } from "effect"

/**
 * A place in the capacity of an engine.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskPlace {
  /**
   * Waits without the place, unless other tool calls of the task are working. After a successful wait it takes a place again,
   * and then returns. Returning tasks get a place before new tasks.
   */
  readonly whileWaiting: <A, E, R>(wait: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

  /** The task is claimed. Gives access to the number of tool calls without a result. Called once, before the agent begins. */
  readonly openCalls: (log: { readonly openCalls: number }) => void

  /** Called when a tool call got its result. Gives the place back if all other open calls wait. */
  readonly callEnded: Effect.Effect<void>

  /** Whether the engine moves the task to a process that it has chosen: then a hand-over gives other processes no hint. */
  readonly isMoving: boolean
}

/**
 * The place of a task under an engine whose capacity is not bounded.
 *
 * @since 0.1.0
 * @category constants
 */
export const unbounded: TaskPlace = {
  whileWaiting: (wait) => wait,
  openCalls: () => {},
  callEnded: Effect.void,
  isMoving: false
}

/**
 * The place of the task of the current fiber. By default it is `unbounded`, which has nothing to give back.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentTaskPlace = Context.Reference<TaskPlace>("@perennial/runtime/TaskPlace/CurrentTaskPlace", {
  defaultValue: () => unbounded
})

/**
 * Runs an effect that only waits, without the place of the current task.
 *
 * **When to use** In a tool that waits a long time for something outside of its process. `TaskManager.await` does this by
 * itself: a task can wait for another task even if only one task may run.
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileWaiting = <A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentTaskPlace, (place) => place.whileWaiting(wait))
