/**
 * The stored messages of a conversation, as far as they were read from its end: a conversation of thousands of messages is shown
 * at once.
 */
import * as api from "../api.ts"
import type { Kept } from "./kept.ts"
import { storedRows } from "./rows.ts"

export type History = Kept<api.Message>

export const none: History = { messages: [], older: undefined }

export const newest = async (id: string, after?: string): Promise<History> => {
  const { items: messages, next: older } = await api.newestMessages(id, after)
  // The rows are made now, so that the frame that draws some of them is not long.
  storedRows(messages)
  return { messages, older }
}

/** With the page before the first message. */
export const older = async (id: string, known: History): Promise<History> => {
  const { messages, older } = await newest(id, known.older)
  return { messages: [...messages, ...known.messages], older }
}
