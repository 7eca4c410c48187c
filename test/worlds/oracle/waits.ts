/**
 * No task is stranded: a head without a live owner is claimed within lease + 2 s after its owner died, or within 2 s after it
 * became the head (P8). This is checked in worlds whose store and network always work, and while a process with places was
 * up all the time. No task waits for its readers (P6).
 */
import { cancelKey } from "@perennial/domain/Intent"
import { isTerminal } from "@perennial/domain/Task"
import { Duration, Option } from "effect"
import type { Observed } from "../world.ts"
import type { Ends } from "./commits.ts"
import type { Broken } from "./violation.ts"

/** The promise, in milliseconds. */
const promised = 2_000
/** What the world itself may add: time passes although something is ready. */
const slack = 2_000
/** A process that has just started, or was frozen, takes over nothing for a third of a lease. */
const cautious = 4_500

export const checkWaits = (observed: Observed, ends: Ends, broken: Broken): void => {
  const { commits, plan, slowestPublish, uptimes } = observed
  // Readers of these worlds stall for up to 12 s.
  if (plan.faults.length === 0 && slowestPublish > slack) {
    broken("P6", `a task waited ${Math.round(slowestPublish)} ms for its readers`)
  }
  const { late, refused, slow, unanswered } = plan.weather
  const calm = late + refused + slow + unanswered === 0 && plan.faults.every(({ type }) => type !== "outage")
  if (!calm) return
  checkCancels(observed, broken)
  checkReadings(observed, ends, broken)
  if (plan.limits.capacity < 100) return
  /** Since when each head has no owner. */
  const without = new Map<string, number>()
  const owners = new Map<string, string>()
  const tokens = new Map<string, number>()
  const leases = new Map<string, number>()
  const claims = new Map<string, number>()
  const waits = (taskId: string, from: number, until: number) => {
    const limit = from + promised + slack
    if (until <= limit) return
    if (uptimes.some((up) => up.from + cautious <= from && up.until >= limit)) {
      broken("P8", `${taskId} waited ${Math.round(until - from)} ms for an owner`, taskId)
    }
  }
  for (const commit of commits) {
    const { at } = commit
    const promoted = (head: Option.Option<{ readonly taskId: string }>) => {
      if (Option.isSome(head)) without.set(head.value.taskId, at)
    }
    switch (commit.method) {
      case "create":
        if (commit.value.created) promoted(commit.value.head)
        for (const id of commit.value.cancelled) without.delete(id)
        break
      case "claim": {
        if (Option.isNone(commit.value)) break
        const { runnerId, taskId, token } = commit.value.value
        tokens.set(taskId, token)
        const owner = owners.get(taskId)
        // An owner without a lease may claim, too.
        const ownerless = Math.max(leases.get(owner ?? "") ?? at, claims.get(taskId) ?? 0)
        const from = without.get(taskId) ?? (owner === undefined ? at : ownerless)
        claims.set(taskId, at)
        waits(taskId, from, at)
        without.delete(taskId)
        owners.set(taskId, runnerId)
        break
      }
      case "heartbeat":
        leases.set(commit.args[0], at + Duration.toMillis(commit.args[1]))
        break
      case "release":
        // A former owner gives nothing back.
        if (commit.args[0].token === tokens.get(commit.args[0].taskId)) without.set(commit.args[0].taskId, at)
        break
      case "finish":
        promoted(commit.value)
        without.delete(commit.args[0].taskId)
        owners.delete(commit.args[0].taskId)
        break
      case "putIntent":
        promoted(commit.value.promoted)
        break
      case "append":
      case "prune":
      case "deleteConversation":
        break
    }
  }
}

/** How long an owner may take to see a cancel: until its next heartbeat, in milliseconds. Its finalizers take up to 1 s. */
const cancelled = 4_000 + slack

/** A task that is cancelled waits for its child tasks, and the cancel reaches them as late. */
const delegated = 4_000

/** A cancel reaches the owner, also if the hint is lost (P7). */
const checkCancels = ({ commits, plan, tasks }: Observed, broken: Broken): void => {
  if (plan.faults.length > 0) return
  const cancels = new Map<string, number>()
  for (const commit of commits) {
    if (commit.method === "putIntent" && commit.args[1].key === cancelKey && commit.value.written) {
      cancels.set(commit.args[0], commit.at)
    }
    if (commit.method === "create") { for (const id of commit.value.cancelling) cancels.set(id, commit.at) }
  }
  for (const { log, task } of tasks.values()) {
    const millis = (log.at(-1)?.at ?? 0) - (cancels.get(task.id) ?? Number.POSITIVE_INFINITY)
    if (isTerminal(task.status) && millis > cancelled + (task.children === undefined ? 0 : delegated)) {
      broken("P7", `${task.id} went on for ${Math.round(millis)} ms after its cancel`, task.id)
    }
  }
}

/** How long a reader may take, in milliseconds: until the next comparison of logs, and to connect again. */
const read = 6_000 + slack

/** A reader sees the terminal event, also if all hints are lost (P3). */
const checkReadings = ({ commits, history, plan }: Observed, ends: Ends, broken: Broken): void => {
  if (plan.faults.length > 0) return
  for (const { endedAt = 0, stalled, taskId } of history.readings) {
    const millis = endedAt - (commits[ends.get(taskId) ?? 0]?.at ?? 0)
    if (ends.has(taskId) && millis > read + stalled) {
      broken("P3", `a reader of ${taskId} saw its end after ${Math.round(millis)} ms`, taskId)
    }
  }
}
