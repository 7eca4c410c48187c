/**
 * The end of a process that executes tasks.
 *
 * @since 0.1.0
 */
import { Context, Effect } from "effect"

/**
 * Hands over the tasks that this process executes, and takes no more: other processes execute what is started from then on.
 *
 * **When to use** At the end of a process that still has to wait for something else, such as open requests, so that tasks
 * do not wait with it. The layer that executes tasks does the same at its end. The default is for processes that execute
 * no tasks: it does nothing.
 *
 * @since 0.1.0
 * @category services
 */
export const HandOver = Context.Reference<Effect.Effect<void>>("@perennial/domain/HandOver", {
  defaultValue: () => Effect.void
})
