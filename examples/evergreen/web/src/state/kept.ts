/** The messages of a conversation that the page keeps: the newest of them, without a gap. */
interface Message {
  readonly id: string
}

export interface Kept<M extends Message> {
  /** The oldest that was read is the first. */
  readonly messages: ReadonlyArray<M>
  /** The cursor of the messages before the first one, if there are any. */
  readonly older: string | undefined
}

/**
 * The newest messages, with those before them that are known. What the newest do not continue is dropped, and what was dropped before
 * the first that is known stays away.
 */
export const joined = <M extends Message>(known: Kept<M>, fresh: Kept<M>): Kept<M> => {
  const at = known.messages.findIndex(({ id }) => id === fresh.messages[0]?.id)
  const from = at < 0 ? fresh.messages.findIndex(({ id }) => id === known.messages[0]?.id) : 0
  if (from < 0) return fresh
  const own = at < 0 ? known.messages : known.messages.slice(at)
  // A stored message never changes: the same object has its rows already.
  const messages = fresh.messages.slice(from).map((message, i) => {
    const same = own[i]
    return same?.id === message.id ? same : message
  })
  return { messages: at < 0 ? messages : [...known.messages.slice(0, at), ...messages], older: known.older }
}

/** Without the messages before this one. They can be read again. */
export const since = <M extends Message>(known: Kept<M>, id: string): Kept<M> => {
  const at = known.messages.findIndex((message) => message.id === id)
  return at <= 0 ? known : { messages: known.messages.slice(at), older: id }
}
