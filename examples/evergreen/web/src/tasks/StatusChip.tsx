/** The status of a task in a word. Amber only if a person is needed, red only for a failure. */
import type { ListedTask } from "../api.ts"

export const stateOf = ({ status, waiting = [] }: ListedTask): string =>
  waiting.length > 0 ? "needs you" : status === "error" ? "failed" : status

export function StatusChip({ task }: { readonly task: ListedTask }) {
  const state = stateOf(task)
  return <span className="task-state" data-state={state}>{state}</span>
}
