/**
 * The agent of the bench: it waits until it is told to emit, or for ever.
 */
import * as Agent from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"
import { Deferred, Effect } from "effect"
import { content, type Emission, message, pace } from "./server.ts"

const commands = new Map<string, Deferred.Deferred<Emission>>()

const commandOf = (taskId: string): Deferred.Deferred<Emission> => {
  const known = commands.get(taskId)
  if (known !== undefined) return known
  const made = Deferred.makeUnsafe<Emission>()
  commands.set(taskId, made)
  return made
}

/** Tells the agent of a task to emit. */
export const command = (emission: Emission): void => {
  Deferred.doneUnsafe(commandOf(emission.taskId), Effect.succeed(emission))
}

const told = (taskId: string) =>
  Effect.suspend(() => Deferred.await(commandOf(taskId))).pipe(
    Effect.ensuring(Effect.sync(() => commands.delete(taskId)))
  )

export const agent = Agent.make(
  "bench",
  Effect.fnUntraced(function*({ task }, emit) {
    const emission = yield* told(task.taskId)
    const began = performance.now()
    for (let i = 0; i < emission.count; i++) {
      yield* emit([{ type: "text", content: content() }])
      yield* Effect.callback<void>((resume) => pace(emission, began, i, () => resume(Effect.void)))
    }
    yield* emit([{ type: "message", message, usage: Usage.zero }])
    return { usage: Usage.zero }
  })
)
