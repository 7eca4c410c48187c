/** What belongs to a user does not exist for another user (P12). A request that changes something breaks other promises, too. */
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

/** `unknown`: there was no answer. */
const hidden: ReadonlySet<string> = new Set(["TaskNotFound", "ConversationNotFound", "unknown"])

export const checkPrivacy = ({ history }: Observed, broken: Broken): void => {
  for (const { act, conversation, result, taskId = "" } of history.calls) {
    if (act.type !== "spy" || hidden.has(result)) continue
    broken("P12", `another user got ${result} for ${act.does} of ${taskId} in ${conversation}`, taskId, conversation)
  }
}
