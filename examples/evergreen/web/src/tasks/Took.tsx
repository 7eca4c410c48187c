/** How long a task has taken, or takes so far. */
import type { ListedTask } from "../api.ts"
import { isActive } from "../state/lists.ts"
import { duration, useNow } from "../time.tsx"

export function Took({ task }: {
  readonly task: Pick<ListedTask, "status" | "createdAt" | "startedAt" | "endedAt" | "updatedAt">
}) {
  const now = useNow(isActive(task) ? 1_000 : 60_000)
  const end = isActive(task) ? now : Date.parse(task.endedAt ?? task.updatedAt)
  return <>{duration(Math.max(0, end - Date.parse(task.startedAt ?? task.createdAt)))}</>
}
