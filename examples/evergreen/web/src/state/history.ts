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

/** Beyond so many messages, the older ones are dropped when new ones come. They can be read again. */
const most = 1_000

/** The newest messages, with those before them that are known. What the newest do not continue is dropped. */
export const joined = (known: History, fresh: History): History => {
  const at = known.messages.findIndex(({ id }) => id === fresh.messages[0]?.id)
  return at <= 0 || at > most
    ? fresh
    : { messages: [...known.messages.slice(0, at), ...fresh.messages], older: known.older }
}

/** With the page before the first message. */
export const older = async (id: string, known: History): Promise<History> => {
  const { items, next } = await api.newestMessages(id, known.older)
  return { messages: [...items, ...known.messages], older: next }
}
