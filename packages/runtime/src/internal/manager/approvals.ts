/** Reads which tool calls of the current user's tasks wait for a person. */
import type { Approval, ApprovalPage } from "@perennial/domain/Approval"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { size } from "@perennial/domain/EventPayload"
import { decisionKey } from "@perennial/domain/Intent"
import type { Task, WaitingCall } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { Effect } from "effect"

/** Tasks in one query. */
const tasksRead = 100
/** Concurrent reads of logs. */
const concurrency = 8
/** A page ends when its arguments reach this size, in bytes. */
const pageBytes = 1024 * 1024

/** An approval, and the size of its event in bytes. */
type Sized = readonly [Approval, bytes: number]

const none: ReadonlyArray<Sized> = []

export const makeApprovals = Effect.gen(function*() {
  const backend = yield* TaskBackend

  const read = (task: Task, { askedAt, seq, toolCallId }: WaitingCall) =>
    Effect.map(backend.events(task.id, { after: seq - 1, limit: 1, maxBytes: 0 }), ({ events: [stored] }) => {
      if (stored?.event.type !== "tool_approval") return none
      const { args, tool } = stored.event
      const { agentId, conversationId, id: taskId } = task
      const approval: Approval = { taskId, conversationId, agentId, toolCallId, tool, args, askedAt }
      return [[approval, size(stored.event)]] satisfies ReadonlyArray<Sized>
    })

  /** A call whose decision is recorded waits for nobody, also before the owner has seen the decision. */
  const ofTask = Effect.fnUntraced(function*(task: Task) {
    const intents = yield* backend.intents(task.id)
    const open = task.waiting?.filter(({ toolCallId }) => intents.every(({ key }) => key !== decisionKey(toolCallId)))
    return (yield* Effect.forEach(open ?? [], (call) => read(task, call), { concurrency })).flat()
  }, (effect) =>
    Effect.catchTags(effect, {
      // The task has just ended, or is deleted.
      TaskNotFound: () => Effect.succeed(none),
      EventsExpired: () => Effect.succeed(none),
      CursorAhead: () => Effect.succeed(none)
    }))

  const approvals: TaskManager["Service"]["approvals"] = Effect.fn("TaskManager.approvals")(function*(options = {}) {
    const userId = yield* CurrentUser
    const limit = Math.min(100, Math.max(1, options.limit ?? 20))
    const items: Array<Approval> = []
    let bytes = 0
    let before = options.before
    while (true) {
      const tasks = yield* backend.list({ userId, status: ["running"], before, limit: tasksRead })
      for (const [i, task] of tasks.entries()) {
        if (task.waiting === undefined) continue
        for (const [approval, approvalBytes] of yield* ofTask(task)) {
          items.push(approval)
          bytes += approvalBytes
        }
        const isLast = i === tasks.length - 1 && tasks.length < tasksRead
        if (isLast || (items.length < limit && bytes < pageBytes)) continue
        return { items, next: task.id } satisfies ApprovalPage
      }
      if (tasks.length < tasksRead) return { items } satisfies ApprovalPage
      before = tasks[tasks.length - 1]?.id
    }
  })

  return { approvals }
})
