/**
 * The place that a task takes in the capacity of its process (P11).
 *
 * A task that only waits, for a person or for another task, should not keep other tasks from running. It gives its place
 * back for as long as it waits.
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
   * Waits without the place, unless other tool calls of the task work meanwhile. When the wait has succeeded the effect
   * takes a place again before it returns; tasks that return come before new ones.
   */
  readonly whileWaiting: <A, E, R>(wait: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

  /** Tells where to see how many tool calls of the task have no result yet. Called once, before the agent begins. */
  readonly openCalls: (log: { readonly openCalls: number }) => void

  /** A tool call got its result: gives the place back if all other open calls wait. */
  readonly callEnded: Effect.Effect<void>
}

/**
 * The place of a task where an engine does not bound its capacity.
 *
 * @since 0.1.0
 * @category constants
 */
export const unbounded: TaskPlace = {
  whileWaiting: (wait) => wait,
  openCalls: () => {},
  callEnded: Effect.void
}

/**
 * The place of the task that the current fiber belongs to. Without an engine that bounds its capacity there is no place to
 * give back.
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
 * **When to use** In a tool that waits for something outside of its process for long. `TaskManager.await` does so by
 * itself: a task may wait for another one even where only one runs at a time.
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileWaiting = <A, E, R>(wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentTaskPlace, (place) => place.whileWaiting(wait))
