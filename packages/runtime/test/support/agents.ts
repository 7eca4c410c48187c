/**
 * Agents that a test controls.
 */
import { type Agent, type AgentInput, make } from "@perennial/domain/Agent"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { type Array as Arr, Deferred, Effect, Latch } from "effect"

export const text = (content: string): AgentEvent => ({ type: "text", content })

export const message = (content: string): AgentEvent => ({
  type: "message",
  message: { role: "assistant", content: [{ type: "text", text: content }] },
  usage: zero
})

/** An agent that emits n text events one by one, and then the message. */
export const counting = (n: number): Agent =>
  make("counting", (_, emit) =>
    Effect.gen(function*() {
      for (let i = 1; i <= n; i++) yield* emit([text(`${i} `)])
      yield* emit([message("all")])
      return { usage: zero }
    }))

export interface Controlled {
  readonly agent: Agent
  /** Completes with the input of the agent when a task has begun. */
  readonly begun: Deferred.Deferred<AgentInput>
  /** The task ends when this latch is open. */
  readonly release: Latch.Latch
}

/** An agent that emits `events`, and then waits until `release` is open. */
export const waiting = (events: Arr.NonEmptyReadonlyArray<AgentEvent> = [text("thinking ")]): Controlled => {
  const begun = Deferred.makeUnsafe<AgentInput>()
  const release = Latch.makeUnsafe(false)
  return {
    begun,
    release,
    agent: make("waiting", (input, emit) =>
      Effect.gen(function*() {
        yield* emit(events)
        yield* Deferred.succeed(begun, input)
        yield* release.await
        yield* emit([message("done waiting")])
        return { usage: zero }
      }))
  }
}

/** An agent with a step every second, which continues after its journal. */
export const walking = (steps: number, agentId = "walking") => {
  const made: Array<string> = []
  return {
    made,
    agent: make(agentId, ({ journal, task }, emit) =>
      Effect.gen(function*() {
        const done = journal.filter(({ event }) => event.type === "message").length
        for (let step = done; step < steps; step++) {
          yield* Effect.sleep("1 second")
          made.push(`${task.taskId} ${step}`)
          yield* emit([message(`step ${step}`)])
        }
        return { usage: zero }
      }))
  }
}
