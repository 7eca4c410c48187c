import { type Canary, canary, http, memoryBackend, runtime } from "./canary.ts"

const follow = `${runtime}internal/manager/followConversation.ts`

/** Bugs of the events of a conversation. */
export const ofFollowers: ReadonlyArray<Canary> = [
  canary(
    "a follower that comes back skips the rest of a task",
    follow,
    "if (seq < lastSeq) return",
    "if (seq > lastSeq) return"
  ),
  canary(
    "a follower that comes back gets its last event again",
    follow,
    "{ taskId, after: seq }, last: taskId }",
    "{ taskId, after: seq - 1 }, last: taskId }"
  ),
  canary(
    "a follower goes on with a task that it has seen",
    follow,
    "{ reading: undefined, last: log.taskId }",
    "{ reading: undefined, last }"
  ),
  canary(
    "the next task is the one after it",
    memoryBackend,
    "Option.fromUndefinedOr(rows[at])",
    "Option.fromUndefinedOr(rows[at + 1])"
  ),
  canary(
    "a watch of a conversation goes on one event too late",
    `${http}internal/conversationWatch.ts`,
    "{ \"last-event-id\": after }",
    "{ \"last-event-id\": { ...after, seq: after.seq + 1 } }"
  )
]
