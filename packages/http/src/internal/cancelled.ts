/** The answer to a cancel: the task as it ended, or as it is if it takes long to end. */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { CancelOptions, TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option } from "effect"
import { HttpServerResponse } from "effect/http"
import { withProblems } from "./withProblems.ts"

/** If a cancelled task has not ended after this time, the answer is 202. */
const cancelPatience = "10 seconds"

/** `show` is what the client may see of the task, and `encode` its encoding in an answer that the API does not encode. */
export const cancelled = <A>(
  manager: TaskManager["Service"],
  { encode, show }: { readonly show: (task: Task) => A; readonly encode: (shown: A) => unknown }
) =>
(id: TaskId, options: CancelOptions | undefined) =>
  withProblems(Effect.gen(function*() {
    const ended = yield* Effect.timeoutOption(manager.cancel(id, options), cancelPatience)
    const task = Option.isSome(ended) ? ended.value : yield* manager.get(id)
    return isTerminal(task.status)
      ? show(task)
      : HttpServerResponse.jsonUnsafe(encode(show(task)), { status: 202 })
  }))
