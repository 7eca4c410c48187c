/** Answers that came while nobody looked at their conversation. The browser remembers them. */
import type { ListedTask } from "../api.ts"
import { makeStore } from "./store.ts"

export interface UnseenAnswer {
  readonly conversationId: string
  readonly taskId: string
  readonly status: ListedTask["status"]
  readonly endedAt: string
}

const key = "unseen"
/** The newest so many are remembered. */
const limit = 100

const read = (): ReadonlyArray<UnseenAnswer> => {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "[]")
  } catch {
    return []
  }
}

const store = makeStore({ answers: read() })

export const useUnseen = (): ReadonlyArray<UnseenAnswer> => store.use(({ answers }) => answers)

const write = (answers: ReadonlyArray<UnseenAnswer>): void => {
  try {
    localStorage.setItem(key, JSON.stringify(answers))
  } catch {
    // The browser keeps nothing: the answers are remembered until this tab is closed.
  }
  store.set(() => ({ answers }))
}

let looksAt: string | undefined

/** The person sees this conversation now. */
export const see = (conversationId: string | undefined): void => {
  looksAt = conversationId
  const others = read().filter((answer) => answer.conversationId !== conversationId)
  if (others.length !== store.get().answers.length) write(others)
}

/** A task has ended. */
export const ended = ({ conversationId, id: taskId, status, updatedAt: endedAt }: ListedTask): void => {
  if (status === "cancelled" || (looksAt === conversationId && !document.hidden)) return
  const others = read().filter((answer) => answer.conversationId !== conversationId)
  write([{ conversationId, taskId, status, endedAt }, ...others].slice(0, limit))
}

addEventListener("storage", (event) => {
  if (event.key === key) store.set(() => ({ answers: read() }))
})
