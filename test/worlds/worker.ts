/** A thread that runs worlds. It draws seeds from a counter that all workers share. */
import { parentPort, workerData } from "node:worker_threads"
import type { Report, Work } from "./work.ts"

// Errors are expected here, and making their stacks takes much of the time.
Error.stackTraceLimit = 0

// The main program passes `Work`.
const { alone, canary, count, deadline, first, maxFailures, next, repeatEvery } = workerData as Work

if (canary !== undefined) (await import("./canary.ts")).apply(canary)
// The sources are loaded after a canary has changed them.
const { planOf } = await import("./plan.ts")
const { runWorld } = await import("./runWorld.ts")

const counter = new Int32Array(next)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const tell = (report: Report) => parentPort?.postMessage(report)
const isLate = () => performance.timeOrigin + performance.now() > deadline

let worlds = 0
let steps = 0
let failures = 0
const own = new Set<number>()

while (!isLate() && failures < maxFailures) {
  const i = Atomics.add(counter, 0, 1)
  if (i >= count) break
  const seed = first + i
  const outcome = runWorld(planOf(seed))
  worlds++
  steps += outcome.steps
  if (repeatEvery > 0 && i % repeatEvery === 0) {
    own.add(seed)
    tell({ type: "hash", seed, hash: outcome.hash, repeated: false })
  }
  if (outcome.violations.length === 0) continue
  failures++
  tell({ type: "failed", seed, violations: outcome.violations })
}

if (repeatEvery > 0 && failures < maxFailures) {
  const until = Math.min(count, Atomics.load(counter, 0))
  for (let i = 0; i < until; i += repeatEvery) {
    const seed = first + i
    if (alone || !own.has(seed)) tell({ type: "hash", seed, hash: runWorld(planOf(seed)).hash, repeated: true })
  }
}

tell({ type: "ended", worlds, steps })
