/**
 * The agent of the bench. It waits until it gets the command to emit, or for ever. It keeps as little memory as possible,
 * because its own memory is not to be measured.
 */
import * as Agent from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"
import { Effect } from "effect"
import { content, type Emission, message, pace } from "./server.ts"

/** By task: the command that came before the agent waited for it, or the callback that waits for the command. */
const commands = new Map<string, Emission | ((emission: Emission) => void)>()

/** Commands the agent of a task to emit. */
export const command = (emission: Emission): void => {
  const waiting = commands.get(emission.taskId)
  if (typeof waiting === "function") waiting(emission)
  else commands.set(emission.taskId, emission)
}

const told = (taskId: string) =>
  Effect.callback<Emission>((resume) => {
    const emission = commands.get(taskId)
    if (typeof emission === "object") resume(Effect.succeed(emission))
    else commands.set(taskId, (emission) => resume(Effect.succeed(emission)))
  })

const emitAll = Effect.fnUntraced(function*(emission: Emission, emit: Agent.Emit) {
  commands.delete(emission.taskId)
  const began = performance.now()
  for (let i = 0; i < emission.count; i++) {
    yield* emit([{ type: "text", content: content() }])
    yield* Effect.callback<void>((resume) => pace(emission, began, i, () => resume(Effect.void)))
  }
  yield* emit([{ type: "message", message, usage: Usage.zero }])
  return { usage: Usage.zero }
})

export const agent = Agent.make(
  "bench",
  ({ task }, emit) => Effect.flatMap(told(task.taskId), (emission) => emitAll(emission, emit))
)
