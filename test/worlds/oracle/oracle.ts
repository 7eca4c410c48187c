/** Which promises a world broke: from the store, the order of its commits, what clients saw, and what agents did. Pure. */
import type { Observed } from "../world.ts"
import { checkActiveTasks } from "./activeTasks.ts"
import { checkAnswers } from "./answers.ts"
import { checkApprovals } from "./approvals.ts"
import { checkChildren } from "./children.ts"
import { checkCommits } from "./commits.ts"
import { checkConversations } from "./conversations.ts"
import { checkFollowers } from "./followers.ts"
import { checkLogs } from "./logs.ts"
import { checkPrivacy } from "./privacy.ts"
import { checkReaders } from "./readers.ts"
import type { Broken, Violation } from "./violation.ts"
import { checkWaits } from "./waits.ts"
import { checkWork } from "./work.ts"

export const check = (observed: Observed): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const broken: Broken = (promise, what, ...about) => void violations.push({ promise, what, about })
  const ends = checkCommits(observed, broken)
  if (observed.open.length > 0) {
    const named = observed.open.flatMap((what) => what.match(/id-\d+|c\d+\.\d+|p\d+\.\d+/g) ?? [])
    broken("P8", `the world does not come to rest: ${observed.open.join(", ")}`, ...named)
  }
  for (const what of observed.left) broken("P11", what, ...what.match(/p\d+\.\d+/) ?? [])
  checkLogs(observed, ends, broken)
  checkReaders(observed, broken)
  checkFollowers(observed, broken)
  checkWork(observed, broken)
  checkChildren(observed, ends, broken)
  checkWaits(observed, ends, broken)
  checkAnswers(observed, ends, broken)
  checkActiveTasks(observed, broken)
  checkPrivacy(observed, broken)
  checkApprovals(observed, broken)
  checkConversations(observed, ends, broken)
  return violations
}
