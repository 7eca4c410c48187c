/** The memory of processes, as Linux counts it. */
import { readFileSync } from "node:fs"

/** Zero for a process that has ended, and on other systems. */
export const residentBytes = (pid: number): number => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024
  } catch {
    return 0
  }
}
