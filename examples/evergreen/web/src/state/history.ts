/**
 * The stored messages of a conversation, as far as they were read from its end: a conversation of thousands of messages is shown
 * at once.
 */
import * as api from "../api.ts"

export interface History {
  /** The oldest that was read is the first. */
  readonly messages: ReadonlyArray<api.Message>
  /** The cursor of the messages before the first one, if there are any. */
  readonly older: string | undefined
}

export const none: History = { messages: [], older: undefined }

export const newest = async (id: string): Promise<History> => {
  const { items: messages, next: older } = await api.newestMessages(id)
  return { messages, older }
}

/** The newest messages, with those before them that are known. What the newest do not continue is dropped. */
export const joined = (known: History, fresh: History): History => {
  const at = known.messages.findIndex(({ id }) => id === fresh.messages[0]?.id)
  if (at < 0) return fresh
  // A stored message never changes: the same object has its rows already.
  const messages = fresh.messages.map((message, i) => {
    const same = known.messages[at + i]
    return same?.id === message.id ? same : message
  })
  return { messages: [...known.messages.slice(0, at), ...messages], older: known.older }
}

/** Without the messages before this one. They can be read again. */
export const since = (known: History, id: string): History => {
  const at = known.messages.findIndex((message) => message.id === id)
  return at <= 0 ? known : { messages: known.messages.slice(at), older: id }
}

/** With the page before the first message. */
export const older = async (id: string, known: History): Promise<History> => {
  const { items, next } = await api.newestMessages(id, known.older)
  return { messages: [...items, ...known.messages], older: next }
}
