/**
 * Reads the log of a task before its agent begins.
 */
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Effect } from "effect"
import type { OwnedLog } from "../log/ownedLog.ts"

const readLog = Effect.fnUntraced(function*(backend: TaskBackend["Service"], log: OwnedLog) {
  const { claim } = log
  const kept: Array<TaskEvent.StoredEvent> = []
  let after = 0
  while (after < claim.lastSeq) {
    const { events } = yield* backend.events(claim.taskId, { after, limit: 500, maxBytes: 4 * 1024 * 1024 })
    log.record(events)
    for (const stored of events) {
      const { type } = stored.event
      if (type !== "text" && type !== "reasoning" && type !== "tool_progress") kept.push(stored)
    }
    const last = events[events.length - 1]?.seq ?? claim.lastSeq
    // A store that gives the same page again would be read for ever.
    if (last <= after) {
      return yield* Effect.die(new Error(`The log of task ${claim.taskId} does not go on after ${after}.`))
    }
    after = last
  }
  return kept
})

/** The log so far, without the chunks that complete messages replaced. */
export const readJournal = (backend: TaskBackend["Service"], log: OwnedLog): ReturnType<typeof readLog> =>
  Effect.suspend(() => {
    const { claim } = log
    // This is the first claim, so the log has only `ack`.
    if (claim.lastSeq > 1) return readLog(backend, log)
    const events = [TaskEvent.ack({ id: claim.taskId, conversationId: claim.conversationId, at: claim.createdAt })]
    log.record(events)
    return Effect.succeed(events)
  })
