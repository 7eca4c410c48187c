/**
 * Which processes execute tasks.
 *
 * @since 0.1.0
 */
import { Context, Effect } from "effect"
import type { RunnerId, TaskId } from "./Ids.ts"
import type { TaskBackendError } from "./TaskError.ts"

/**
 * The runner that owns each of these tasks, at most 1,000, whoever their user is. Tasks without an owner are left out.
 *
 * **When to use** For operators. The name of a host is nothing for users (P12). The layer that executes tasks provides it. The
 * default knows no runner.
 *
 * @since 0.1.0
 * @category services
 */
export const TaskOwners = Context.Reference<
  (ids: ReadonlyArray<TaskId>) => Effect.Effect<ReadonlyMap<TaskId, RunnerId>, TaskBackendError>
>("@perennial/domain/TaskOwners", { defaultValue: () => () => Effect.succeed(new Map()) })
