/**
 * A conversation is what the logs of its tasks say, in the order in which they ran (P10). A deletion is two steps, in two stores:
 * a task that is accepted between them may lose its messages, but all or none of them; and if the process ends between them,
 * the messages of deleted tasks stay.
 */
import { type MessageId, messageId, taskIdOf } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { Observed } from "../world.ts"
import type { Ends } from "./commits.ts"
import type { Broken } from "./violation.ts"

export const checkConversations = (observed: Observed, ends: Ends, broken: Broken): void => {
  const { conversations, deleted, tasks } = observed
  const givenUp = new Set<string>()
  for (const { task } of tasks.values()) if (isInLogAlone(task)) givenUp.add(task.conversationId)
  const late = endedInOneCommit(observed)
  for (const [id, messages = []] of conversations) {
    const ran = [...tasks.values()].filter(({ log, task }) =>
      task.conversationId === id && !deleted.has(task.id) && log.some(({ event }) => event.type === "started")
    )
    // An open task may owe messages, and a refused message is only in the log.
    if (ran.some(({ task }) => !isTerminal(task.status)) || givenUp.has(id)) continue
    const expected: Array<MessageId> = []
    for (const { log, task } of ran.toSorted((a, b) => (ends.get(a.task.id) ?? 0) - (ends.get(b.task.id) ?? 0))) {
      const at = task.replaces === undefined ? -1 : expected.indexOf(task.replaces)
      if (at >= 0) expected.splice(at)
      for (const { event, seq } of log) {
        if (event.type === "message" || event.type === "tool_result" || event.type === "ack") {
          expected.push(messageId(task.id, seq))
        }
      }
    }
    const overlaps = isDeletedDuringStart(observed, id)
    const cut = observed.history.calls.some(({ act, conversation, sure }) =>
      act.type === "delete" && conversation === id && !sure
    )
    const shown = overlaps || cut ? messages.filter((message) => !deleted.has(taskIdOf(message))) : messages
    const kept = new Set(shown.map(taskIdOf))
    const due = overlaps ? expected.filter((message) => kept.has(taskIdOf(message))) : expected
    const inOrder = (ids: ReadonlyArray<MessageId>) => late.has(id) ? ids.toSorted() : ids
    if (inOrder(shown).join() !== inOrder(due).join()) {
      broken("P10", `conversation ${id} has ${shown.join()}; the logs say ${due.join()}`, id)
    }
  }
}

/**
 * Whether the store kept refusing calls about a task until the task ended: a message that it refused, or the release of a task
 * without an execution. Only the log has all messages then.
 */
const isInLogAlone = ({ error }: Task): boolean =>
  error?.code === "MessageRefused" || error?.code === "TaskUnreadable" || error?.code === "CrashLoop"

/**
 * The conversations of tasks that were given up too often, and whose end was written together with a message that they owed: the
 * next task may begin before the conversation has that message.
 */
const endedInOneCommit = ({ commits, tasks }: Observed): ReadonlySet<string> =>
  new Set(commits.flatMap((commit) => {
    if (commit.method !== "finish") return []
    const [{ taskId }, events] = commit.args
    const task = tasks.get(taskId)?.task
    return task === undefined || events.length === 1 ? [] : [task.conversationId]
  }))

const isDeletedDuringStart = ({ commits, history }: Observed, conversation: string): boolean =>
  history.calls.some(({ act, conversation: deleted, from, sure, until }) =>
    act.type === "delete" && deleted === conversation &&
    commits.some((commit) =>
      commit.method === "create" && commit.args[0].conversationId === conversation && commit.n >= from
      && (commit.n < until || !sure)
    )
  )
