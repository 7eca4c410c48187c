/** Tells this process what a commit has changed, so that owners, readers and the engine here need not find out by time. */
import type { TaskId } from "@perennial/domain/Ids"
import { Effect } from "effect"
import { TaskEngine } from "../../TaskEngine.ts"
import { TaskExecutor } from "../../TaskExecutor.ts"
import { TaskReaders } from "../../TaskReaders.ts"

export const makeNotices = Effect.gen(function*() {
  const engine = yield* TaskEngine
  const executor = yield* TaskExecutor
  const readers = yield* TaskReaders

  return {
    /** Records of the user's tasks have changed. */
    tasksChanged: readers.tasksChanged,
    /** The task ended before it began: it waits for no place any more, and its readers see the end. */
    endedUnbegun: (id: TaskId) => Effect.andThen(engine.forget(id), readers.logGrew(id)),
    /** Something was asked of the owner. An owner that cannot read it now reads it with its next heartbeat. */
    intentRecorded: (id: TaskId) =>
      Effect.catchCause(
        executor.readIntents(id),
        (cause) => Effect.logWarning("A recorded intent could not be read.", cause)
      )
  }
})
