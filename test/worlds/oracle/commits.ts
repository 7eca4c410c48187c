/** Follows the order of commits: who owns what, and what runs in each conversation (P2, P4, P9). */
import { isTerminal } from "@perennial/domain/Task"
import type { Fence } from "@perennial/domain/TaskBackend"
import { Duration, Option } from "effect"
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

/** The commit in which each task ended. */
export type Ends = ReadonlyMap<string, number>

/** Events have the store's time: a commit takes effect at most so long after its events were stamped, in milliseconds. */
const maxDelay = 40_000

export const checkCommits = ({ commits }: Observed, broken: Broken): Ends => {
  const tokens = new Map<string, number>()
  const running = new Map<string, string>()
  const ends = new Map<string, number>()
  /** The end of each lease. */
  const leases = new Map<string, number>()
  const owners = new Map<string, string>()
  const end = (n: number, taskId: string) => {
    const before = ends.get(taskId)
    if (before === undefined) ends.set(taskId, n)
    else broken("P4", `task ${taskId} ended twice, in commits ${before} and ${n}`, taskId)
    for (const [conversation, id] of running) if (id === taskId) running.delete(conversation)
  }
  const write = (n: number, { taskId, token }: Fence) => {
    const valid = tokens.get(taskId)
    if (token !== valid) broken("P9", `commit ${n} of ${taskId} has token ${token}; the token is ${valid}`, taskId)
    if (ends.has(taskId)) broken("P4", `commit ${n} writes to ${taskId} after its end`, taskId)
  }
  for (const commit of commits) {
    const { at, n } = commit
    switch (commit.method) {
      case "claim": {
        if (Option.isNone(commit.value)) break
        const { attempt, conversationId, runnerId, taskId, token } = commit.value.value
        const owner = owners.get(taskId)
        if (owner !== undefined && owner !== runnerId && (leases.get(owner) ?? 0) > at) {
          broken("P9", `${taskId} is claimed in commit ${n} from ${owner}, whose lease is in force`, taskId, owner)
        }
        if (token !== (tokens.get(taskId) ?? 0) + 1) {
          broken("P9", `${taskId} is claimed in commit ${n} with token ${token} after ${tokens.get(taskId)}`, taskId)
        }
        if (attempt !== token) broken("P9", `attempt ${attempt} of ${taskId} has token ${token}`, taskId)
        const other = running.get(conversationId)
        if (other !== undefined && other !== taskId) {
          broken("P2", `${taskId} begins in commit ${n} while ${other} runs`, taskId, other)
        }
        if (ends.has(taskId)) broken("P4", `${taskId} is claimed in commit ${n} after its end`, taskId)
        owners.set(taskId, runnerId)
        running.set(conversationId, taskId)
        tokens.set(taskId, token)
        break
      }
      case "heartbeat":
        leases.set(commit.args[0], at + Duration.toMillis(commit.args[1]))
        break
      case "release":
        if (commit.args[0].token === tokens.get(commit.args[0].taskId)) owners.delete(commit.args[0].taskId)
        break
      case "append": {
        for (const [i, { claim, events }] of commit.args[0].entries()) {
          if (commit.value[i]?.ok !== true) continue
          write(n, claim)
          const skew = at - events[0].at
          if (skew < -1 || skew > maxDelay) {
            broken(
              "clock",
              `commit ${n} of ${claim.taskId} has an event that is ${skew} ms older than the store's time`,
              claim.taskId
            )
          }
        }
        break
      }
      case "finish":
        write(n, commit.args[0])
        end(n, commit.args[0].taskId)
        break
      case "create":
        for (const id of commit.value.cancelled) end(n, id)
        break
      case "putIntent":
        if (commit.value.written && isTerminal(commit.value.task.status)) end(n, commit.args[0])
        break
      case "prune":
      case "deleteConversation":
        break
    }
  }
  return ends
}
