/**
 * Verifies P1 to P11 from what was seen, done and kept, and that enough was. Pure: the same input, the same verdict.
 */
import * as Children from "./checkChildren.ts"
import * as Ends from "./checkEnds.ts"
import * as Logs from "./checkLogs.ts"
import * as Loops from "./checkLoops.ts"
import * as Owners from "./checkOwners.ts"
import * as Readers from "./checkReaders.ts"
import * as Work from "./checkWork.ts"
import * as Coverage from "./coverage.ts"
import type { Observed, Violation } from "./observed.ts"

const checks: ReadonlyArray<(observed: Observed) => ReadonlyArray<Violation>> = [
  Logs.accepted,
  Logs.logs,
  Logs.readings,
  Logs.conversations,
  Logs.messages,
  Readers.faces,
  Readers.stalls,
  Readers.memory,
  Work.claims,
  Work.stretches,
  Work.work,
  Work.plans,
  Ends.ends,
  Ends.cancels,
  Children.children,
  Loops.loops,
  Loops.progress,
  Owners.waits,
  Owners.undisturbed,
  Owners.ends,
  Owners.places,
  Coverage.enough
]

export const check = (observed: Observed): ReadonlyArray<Violation> => checks.flatMap((check) => check(observed))
