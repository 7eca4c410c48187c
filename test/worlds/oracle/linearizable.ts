/** Whether what the clients of one conversation were told can have happened in some order (Wing and Gong). */
import type { OnBusy } from "@perennial/domain/Task"

/** It took effect at some point from `from` until `until`, in the order of commits. An optional one may not have happened. */
export type Operation =
  & { readonly from: number; readonly until: number; readonly optional?: boolean }
  & (
    | { readonly type: "start"; readonly onBusy: OnBusy; readonly taskId: string }
    /** The conversation had an active task. */
    | { readonly type: "busy" }
    /** The largest number of tasks waited. */
    | { readonly type: "full" }
    | { readonly type: "end"; readonly taskId: string }
    | { readonly type: "decide"; readonly key: string; readonly value: string; readonly taskId: string }
    /** A decision was refused, because there was another one or because there was nothing to decide. */
    | { readonly type: "refused"; readonly decided: boolean; readonly key: string; readonly value: string }
    | { readonly type: "delete" }
  )

interface State {
  /** The active tasks, the head first. */
  readonly active: ReadonlyArray<string>
  readonly decided: ReadonlyMap<string, string>
}

/** The state after an operation; undefined if it is not possible. */
const apply = (state: State, operation: Operation, maxQueued: number): State | undefined => {
  const { active, decided } = state
  switch (operation.type) {
    case "start":
      if (operation.onBusy === "reject" && active.length > 0) return undefined
      if (operation.onBusy === "enqueue" && active.length > Math.max(0, maxQueued)) return undefined
      return { ...state, active: [...active, operation.taskId] }
    case "busy":
      return active.length > 0 ? state : undefined
    case "full":
      return active.length > maxQueued ? state : undefined
    case "end":
      return active.includes(operation.taskId)
        ? { ...state, active: active.filter((id) => id !== operation.taskId) }
        : undefined
    case "decide": {
      const { key, taskId, value } = operation
      const present = decided.get(key)
      if (present !== undefined) return present === value ? state : undefined
      return active.includes(taskId) ? { ...state, decided: new Map(decided).set(key, value) } : undefined
    }
    case "refused": {
      const present = decided.get(operation.key)
      return operation.decided === (present !== undefined && present !== operation.value) ? state : undefined
    }
    case "delete":
      return active.length === 0 ? { ...state, decided: new Map() } : undefined
  }
}

/** The search gives up after this many states. */
const maxStates = 20_000

/** `found`, `none`, or `unknown` if the search was given up. */
export const findOrder = (operations: ReadonlyArray<Operation>, maxQueued: number): "found" | "none" | "unknown" => {
  const impossible = new Set<string>()
  const search = (left: ReadonlyArray<number>, state: State): boolean => {
    const due = left.filter((i) => operations[i]?.optional !== true)
    if (due.length === 0) return true
    const key = `${left.join()}|${state.active.join()}|${[...state.decided].join()}`
    if (impossible.has(key) || impossible.size > maxStates) return false
    const first = Math.min(...due.map((i) => operations[i]?.until ?? 0))
    for (const i of left) {
      const next = operations[i]
      if (next === undefined || next.from > first) continue
      const then = apply(state, next, maxQueued)
      if (then !== undefined && search(left.filter((other) => other !== i), then)) return true
    }
    impossible.add(key)
    return false
  }
  if (search([...operations.keys()], { active: [], decided: new Map() })) return "found"
  return impossible.size > maxStates ? "unknown" : "none"
}
