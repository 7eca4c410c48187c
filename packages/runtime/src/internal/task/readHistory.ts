/** Reads conversations, which may be long and full of files, in bounded pieces (P11). */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { type MessageId, messageId } from "@perennial/domain/Ids"
import type { Message, UserMessage } from "@perennial/domain/Message"
import type { Metadata } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect } from "effect"

type Store = ConversationStore["Service"]

/** The sizes of the first page and of the largest page, in messages. */
const firstPage = 32
const largestPage = 1_000
/** After a page with more than this, the next page is smaller, because the store cannot bound pages in bytes. */
const pageBytes = 4 * 1024 * 1024

/** The approximate number of characters of its JSON, without encoding files. */
const sizeOf = ({ content }: Message): number => {
  let size = 0
  for (const part of content) {
    size += part.type === "file"
      ? part.data?.length ?? part.url?.length ?? 0
      : part.type === "text" && part.providerData === undefined
      ? part.text.length + 25
      : JSON.stringify(part).length
  }
  return size
}

/** All messages after a message, or all messages of the conversation. */
const forEachMessage = (
  store: Store,
  key: ConversationKey,
  from: MessageId | undefined,
  use: (stored: StoredMessage, size: number) => void
) => {
  const readPage = (
    after: MessageId | undefined,
    limit: number
  ): Effect.Effect<void, Effect.Error<ReturnType<Store["messages"]>>> =>
    Effect.flatMap(store.messages(key, { after, limit }), (page) => {
      let bytes = 0
      for (const stored of page) {
        const size = sizeOf(stored.message)
        bytes += size
        use(stored, size)
      }
      const last = page[page.length - 1]
      if (page.length < limit || last === undefined) return Effect.void
      // A store that gives the same page again would be read for ever.
      if (last.id === after) return Effect.die(new Error(`The conversation does not go on after message ${after}.`))
      return readPage(
        last.id,
        bytes > pageBytes
          ? Math.max(1, Math.floor(limit * pageBytes / bytes))
          : Math.min(largestPage, limit * 2)
      )
    })
  return readPage(from, firstPage)
}

const noMetadata: ReadonlyMap<Message, Metadata> = new Map()

/** The share that remains of a history that is too large. It can then grow before its beginning changes, for prompt caches. */
const keptPart = 0.6

/**
 * The messages of a conversation. If they are larger than `maxBytes`, the oldest turns are left out. The last turn is always
 * whole; its size is bounded by the log of its task. `hasOwn` says whether the conversation has the message `own`.
 */
export const readHistory = (
  store: Store,
  key: ConversationKey,
  { maxBytes, own }: { readonly own: MessageId; readonly maxBytes: number }
) =>
  Effect.suspend(() => {
    const turns: Array<{ readonly messages: Array<Message>; bytes: number }> = []
    let metadataOf: Map<Message, Metadata> | undefined
    let total = 0
    let dropped = 0
    let hasOwn = false

    const cut = () => {
      while (total > maxBytes * keptPart && turns.length > 1) {
        const oldest = turns.shift()
        if (oldest === undefined) return
        total -= oldest.bytes
        dropped += oldest.messages.length
        for (const message of oldest.messages) metadataOf?.delete(message)
      }
    }

    const read = forEachMessage(store, key, undefined, ({ id, message, metadata }, size) => {
      if (id === own) hasOwn = true
      const turn = turns[turns.length - 1]
      if (turn === undefined || message.role === "user") turns.push({ messages: [message], bytes: size })
      else {
        turn.messages.push(message)
        turn.bytes += size
      }
      total += size
      if (metadata !== undefined) (metadataOf ??= new Map()).set(message, metadata)
      if (total > maxBytes) cut()
    })
    return Effect.flatMap(read, () => {
      const [first] = turns
      const history: ReadonlyArray<Message> = first !== undefined && turns.length === 1
        ? first.messages
        : turns.flatMap(({ messages }) => messages)
      const given = { hasOwn, history, historyMetadata: metadataOf ?? noMetadata }
      return dropped === 0 ? Effect.succeed(given) : Effect.as(
        Effect.logWarning(
          `The conversation is too large: its oldest ${dropped} messages are not given to the agent.`
        ),
        given
      )
    })
  })

/** The number of tasks that are read to find the end of a conversation. */
const recentTasks = 10

/**
 * The user's last message, if there is one. A store reads only forwards, so the search begins at the message of a recent task
 * after which another message of the user follows, or at the beginning of the conversation.
 */
export const lastOfUser = Effect.fnUntraced(function*(
  { backend, store }: { readonly backend: TaskBackend["Service"]; readonly store: Store },
  key: ConversationKey
) {
  const tasks = yield* backend.list({ userId: key.userId, conversationId: key.id, limit: recentTasks })
  let last: (StoredMessage & { readonly message: UserMessage }) | undefined
  for (const after of [...tasks.map(({ id }) => messageId(id, 1)), undefined]) {
    yield* forEachMessage(store, key, after, (stored) => {
      if (stored.message.role === "user") last = { ...stored, message: stored.message }
    })
    if (last !== undefined) return last
  }
  return undefined
})
