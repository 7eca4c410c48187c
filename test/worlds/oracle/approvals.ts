/** A call waits for a decision as long as its agent says, by the store's time, also after a recovery (clock). */
import { decisionKey, type Intent, isDecisionKey } from "@perennial/domain/Intent"
import { Predicate } from "effect"
import { approvalMillis } from "../scriptedAgent.ts"
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

/** A decision that nobody made in time. Clients give no reason. */
export const isTimedOut = ({ key, value }: Intent): boolean =>
  isDecisionKey(key) && Predicate.hasProperty(value, "reason")

/** What the world itself may add, in milliseconds: time passes although something is ready. */
const slack = 2_000
/** A process knows the store's time from an answer, which may have been on its way for so long, in milliseconds. */
const slowest = 4_000

export const checkApprovals = ({ commits, plan: { faults, weather }, tasks }: Observed, broken: Broken): void => {
  // A process that was frozen may get the time with an answer that is as old.
  if (faults.some(({ type }) => type === "freeze" || type === "expire")) return
  const { late, refused, slow, unanswered } = weather
  const calm = late + refused + slow + unanswered + faults.length === 0
  for (const commit of commits) {
    if (commit.method !== "putIntent" || !commit.value.written || !isTimedOut(commit.args[1])) continue
    const [taskId, { key }] = commit.args
    const asked = tasks.get(taskId)?.log.find(({ event }) =>
      event.type === "tool_approval" && decisionKey(event.toolCallId) === key
    )
    const millis = commit.at - (asked?.at ?? 0)
    if (millis < approvalMillis - (slow > 0 ? slowest : 1) || (calm && millis > approvalMillis + slack)) {
      broken("clock", `${key} of ${taskId} was decided after ${Math.round(millis)} ms`, taskId)
    }
  }
}
