/**
 * P8: a task that lost four owners in a row without progress is given up: not sooner, and nothing is asked of a model any
 * more then.
 */
import { isProgress } from "@perennial/domain/TaskBackend"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { type Of, ofType } from "./ledger.ts"
import type { Kept, Observed, Violation } from "./observed.ts"

/** Losses in a row after which a task is given up. */
const most = TaskLimits.defaults.failures + 1

/** Of all tasks, those that may be given up because the harness killed their owners so often: more, and nobody gets on. */
const share = 0.05

const isGivenUp = ({ log }: Kept): boolean => {
  const end = log.at(-1)?.event
  return end?.type === "error" && end.error === "CrashLoop"
}

type Claim = Of<"claimed">

/** How many owners in a row may have been lost, without progress, before a claim. */
const lossesBefore = (
  claim: Claim,
  claims: ReadonlyArray<Claim>,
  released: ReadonlyArray<Of<"released">>,
  progress: ReadonlyArray<number>
): number => {
  const since = progress.findLast((at) => at < claim.at) ?? 0
  const first = claims.findLast(({ at }) => at <= since)?.attempt ?? 1
  // What a process gives up that has lost it already is no hand-over: the store refuses it.
  const handedOver = released.filter(({ at, pid }) =>
    at > since && at < claim.at && claims.findLast((one) => one.at <= at)?.pid === pid
  )
  return claim.attempt - first - handedOver.length
}

/** How many of them are known to be gone. An owner may also have stopped by itself, because it could not renew its lease. */
const sureLossesBefore = (
  claim: Claim,
  claims: ReadonlyArray<Claim>,
  released: ReadonlyArray<Of<"released">>,
  deaths: Observed["deaths"],
  progress: ReadonlyArray<number>
): number => {
  const since = progress.findLast((at) => at < claim.at) ?? 0
  const first = Math.max(0, claims.findLastIndex(({ at }) => at <= since))
  return claims.slice(first, claims.indexOf(claim)).filter(({ at, pid }, i) => {
    const next = claims[first + i + 1]?.at ?? Infinity
    const during = (one: { readonly at: number; readonly pid: number }) =>
      one.pid === pid && one.at >= Math.max(at, since) && one.at <= next
    return deaths.some(during) && !released.some(during)
  }).length
}

export const loops = (observed: Observed): ReadonlyArray<Violation> => {
  const claims = Map.groupBy(ofType(observed.ledger, "claimed"), ({ taskId }) => taskId)
  const released = Map.groupBy(ofType(observed.ledger, "released"), ({ taskId }) => taskId)
  const asked = new Set(ofType(observed.ledger, "asked").map(({ attempt, taskId }) => `${taskId} ${attempt}`))
  return observed.kept.flatMap((one) => {
    const { log, task } = one
    const own = (claims.get(task.id) ?? []).toSorted((a, b) => a.at - b.at)
    const progress = log.filter(isProgress).map(({ at }) => at)
    const losses = (claim: Claim) => lossesBefore(claim, own, released.get(task.id) ?? [], progress)
    const last = own.at(-1)
    const sureLosses = (claim: Claim) =>
      sureLossesBefore(claim, own, released.get(task.id) ?? [], observed.deaths, progress)
    const tooOften = own.filter((claim) => asked.has(`${task.id} ${claim.attempt}`) && sureLosses(claim) >= most)
    return [
      ...tooOften.map((claim) => ({
        promise: "P8",
        what: `task ${task.id} went on with attempt ${claim.attempt} after it had lost ${
          sureLosses(claim)
        } owners in a row`
      })),
      ...(last !== undefined && isGivenUp(one) && losses(last) < most
        ? [{ promise: "P8", what: `task ${task.id} was given up after it had lost ${losses(last)} owners in a row` }]
        : [])
    ]
  })
}

/** Tasks that were given up though nothing was wrong with them. */
export const givenUp = ({ accepted, kept }: Observed): number => {
  const fatal = new Set(accepted.flatMap(({ plan, taskId }) => plan.fatal === true ? [taskId] : []))
  return kept.filter((one) => !fatal.has(one.task.id) && isGivenUp(one)).length
}

export const progress = (observed: Observed): ReadonlyArray<Violation> => {
  const many = givenUp(observed)
  const all = observed.kept.length
  return many <= share * all
    ? []
    : [{ promise: "P8", what: `${many} of ${all} tasks were given up: whatever happens, tasks get on` }]
}
