import { type Canary, canary, memoryConversations, runtime } from "./canary.ts"

const children = `${runtime}internal/task/ownedChildTasks.ts`
const endChildren = `${runtime}internal/task/endChildren.ts`

/** Bugs of child tasks. */
export const ofChildren: ReadonlyArray<Canary> = [
  canary(
    "a call has another child task after a crash",
    children,
    "if (named !== undefined) return Result",
    "if (named !== undefined && claim.attempt === 1) return Result"
  ),
  canary(
    "a child task has another id than its event says",
    children,
    "{ id: taskId, conversationId",
    "{ id: childTaskId(claim.taskId, numberOf(taskId) + claim.attempt - 1), conversationId"
  ),
  canary(
    "a parent does not wait for its child task",
    children,
    ": Stream.runDrain(this.#host.readers.read(task.id, task.lastSeq))",
    ": Effect.void"
  ),
  canary(
    "a parent that waits for its child task keeps its place",
    children,
    "yield* this.#parent.place.whileWaiting(ended)",
    "yield* ended"
  ),
  canary(
    "the end of a parent does not reach its child tasks",
    endChildren,
    "owned.log.mayHaveChildren\n    ?",
    "owned.log.lastSeq === 0\n    ?"
  ),
  canary(
    "a hand-over cancels the child tasks",
    `${runtime}internal/task/finish.ts`,
    "if (outcome === \"release\") return yield* release(host, owned)",
    "if (outcome === \"release\") {\n      yield* endChildren(host, owned)\n      return yield* release(host, owned)\n    }"
  ),
  canary(
    "the list of conversations has those of child tasks",
    memoryConversations,
    "children || !isChildConversation(id)",
    "children || !isChildConversation(id) || true"
  )
]
