/**
 * The agent of the benchmark. It waits until it gets the command to emit. Some cases never send the command. The agent uses
 * as little memory as possible, because the benchmark does not measure its memory.
 */
import * as Agent from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"
import { Effect } from "effect"
import { content, type Emission, message, pace } from "./server.ts"

/** For each task a command that the agent has not read yet, or the callback of an agent that waits for its command. */
const commands = new Map<string, Emission | ((emission: Emission) => void)>()

/** Sends the agent of a task the command to emit. */
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
