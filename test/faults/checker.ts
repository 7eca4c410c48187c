/**
 * Verifies P1 to P11 from what was seen, done and kept. Pure: the same input, the same verdict.
 */
import * as Logs from "./checkLogs.ts"
import * as Owners from "./checkOwners.ts"
import * as Work from "./checkWork.ts"
import type { Observed, Violation } from "./observed.ts"

const checks: ReadonlyArray<(observed: Observed) => ReadonlyArray<Violation>> = [
  Logs.accepted,
  Logs.logs,
  Logs.readings,
  Logs.conversations,
  Logs.messages,
  Work.claims,
  Work.stretches,
  Work.work,
  Owners.waits,
  Owners.places
]

export const check = (observed: Observed): ReadonlyArray<Violation> => checks.flatMap((check) => check(observed))
