/** What a person has begun to write. This tab keeps the text for each conversation: another page or a reload does not lose it. */
import { useCallback, useState } from "react"
import type * as api from "../api.ts"

export interface Draft {
  readonly text: string
  readonly files: ReadonlyArray<api.File>
  readonly replaces?: string | undefined
}

export const emptyDraft: Draft = { text: "", files: [] }

/** The conversation that has no address yet. */
export const newConversation = ""

/** A browser that may keep nothing has none. */
const storage = (): Storage | undefined => {
  try {
    return sessionStorage
  } catch {
    return undefined
  }
}

const keyOf = (conversation: string): string => `draft ${conversation}`

const read = (conversation: string): string => storage()?.getItem(keyOf(conversation)) ?? ""

const keep = (conversation: string, text: string): void => {
  try {
    storage()?.setItem(keyOf(conversation), text)
  } catch {
    // There is no room for a text of this size: it is on the page alone.
  }
}

export const useDraft = (conversation: string) => {
  const [draft, show] = useState<Draft>(() => ({ ...emptyDraft, text: read(conversation) }))
  const setDraft = useCallback((draft: Draft): void => {
    show(draft)
    keep(conversation, draft.replaces === undefined ? draft.text : "")
  }, [conversation])
  return [draft, setDraft] as const
}

/** The new conversation has its address: what was written meanwhile goes with it. */
export const moveDraft = (to: string): void => {
  keep(to, read(newConversation))
  keep(newConversation, "")
}
