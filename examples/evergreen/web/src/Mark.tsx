/** What goes on in a conversation, beside its name: it needs the person, it is answering, or it has an answer that nobody has seen. */
import { Hand } from "lucide-react"
import * as lists from "./state/lists.ts"
import { useUnseen } from "./state/unseen.ts"

type Mark = "need" | "running" | "unseen"

export function MarkView({ mark }: { readonly mark: Mark }) {
  const says = { need: "needs you", running: "answering", unseen: "has a new answer" }[mark]
  return (
    <span className="mark" data-mark={mark} title={says}>
      {mark === "need" ? <Hand aria-hidden /> : null}
      <span className="hidden">, {says}</span>
    </span>
  )
}

export const useMarks = (): ReadonlyMap<string, Mark> => {
  const tasks = lists.useLists((state) => state.tasks)
  const marks = new Map<string, Mark>()
  for (const { conversationId } of useUnseen()) marks.set(conversationId, "unseen")
  for (const task of tasks?.values() ?? []) if (lists.isActive(task)) marks.set(task.conversationId, "running")
  for (const task of tasks?.values() ?? []) if ((task.waiting ?? []).length > 0) marks.set(task.conversationId, "need")
  return marks
}
