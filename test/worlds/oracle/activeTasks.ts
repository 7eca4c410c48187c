/** No user starts more active tasks than the limit, and nobody is refused below it (P11). Child tasks count, and are not refused. */
import { isTerminal } from "@perennial/domain/Task"
import { Option } from "effect"
import type { Call } from "../clients.ts"
import type { Commit } from "../commit.ts"
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

/** An active task, as commits tell it. */
interface Active {
  readonly conversation: string
  begun: boolean
}

export const checkActiveTasks = ({ commits, history, plan }: Observed, broken: Broken): void => {
  const limit = plan.limits.activePerUser
  const active = new Map<string, Active>()
  /** Refusals that no state has justified so far. */
  const refusals = new Set(history.calls.filter(({ result }) => result === "TooManyActiveTasks"))
  const justify = (n: number) => {
    for (const call of refusals) {
      if (call.from <= n && n <= call.until && active.size - endedBy(call, active) >= limit) refusals.delete(call)
    }
  }
  for (const commit of commits) {
    justify(commit.n)
    follow(commit, active)
    const isStart = commit.method === "create" && commit.value.created && commit.value.task.parent === undefined
    if (isStart && active.size > limit) {
      broken("P11", `${active.size} tasks are active after commit ${commit.n}; the limit is ${limit}`, ...active.keys())
    }
  }
  justify(commits.length)
  for (const { conversation, name } of refusals) {
    broken("P11", `${name} was refused, and there were never ${limit} active tasks meanwhile`, name, conversation)
  }
}

const follow = (commit: Commit, active: Map<string, Active>): void => {
  switch (commit.method) {
    case "create": {
      const { cancelled, created, task } = commit.value
      for (const id of cancelled) active.delete(id)
      if (created) active.set(task.id, { conversation: task.conversationId, begun: false })
      return
    }
    case "claim": {
      const task = Option.isSome(commit.value) ? active.get(commit.value.value.taskId) : undefined
      if (task !== undefined) task.begun = true
      return
    }
    case "finish":
      return void active.delete(commit.args[0].taskId)
    case "putIntent":
      if (isTerminal(commit.value.task.status)) active.delete(commit.args[0])
  }
}

/** How many tasks a start with `interrupt` ends in the same commit. Their places are free for it. */
const endedBy = ({ act, conversation }: Call, active: ReadonlyMap<string, Active>): number =>
  act.type === "start" && act.onBusy === "interrupt"
    ? [...active.values()].filter((task) => task.conversation === conversation && !task.begun).length
    : 0
