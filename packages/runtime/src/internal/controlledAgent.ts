/** The agents of the contract of engines: the test decides when they answer. */
import { make } from "@perennial/domain/Agent"
import type { TaskId } from "@perennial/domain/Ids"
import type { AgentEvent, StoredEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { Effect, Latch } from "effect"

export const message = (text: string): AgentEvent => ({
  type: "message",
  message: { role: "assistant", content: [{ type: "text", text }] },
  usage: zero
})

/** An agent whose step is one message, as soon as the test lets it say so. A step that is in the journal is not repeated. */
export const makeControlled = (agentId = "agent") => {
  const attempts: Array<string> = []
  const finalized: Array<TaskId> = []
  const release = Latch.makeUnsafe(false)
  const agent = make(agentId, ({ journal, task }, emit) =>
    Effect.gen(function*() {
      attempts.push(`${task.taskId} ${task.attempt}`)
      if (isAnswered(journal)) return { usage: zero }
      yield* emit([{ type: "text", content: "thinking " }])
      yield* release.await
      yield* emit([message("done")])
      return { usage: zero }
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => finalized.push(task.taskId)))))
  return { agent, attempts, finalized, release }
}

export const isAnswered = (journal: ReadonlyArray<StoredEvent>) => journal.some(({ event }) => event.type === "message")
