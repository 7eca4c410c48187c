/**
 * The handlers of conversations, over a `TaskManager` and the `ConversationStore`.
 *
 * @since 0.1.0
 */
import { wellFormed } from "@perennial/domain/ContentBounds"
import type { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import type { TaskStatus } from "@perennial/domain/Task"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, type Layer } from "effect"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import type { ListedConversation } from "./ConversationsApi.ts"
import { admitted } from "./internal/admitted.ts"
import { idOf, paged } from "./internal/paged.ts"
import { placeLog, placeSource } from "./internal/placeWire.ts"
import { makeLocation, started } from "./internal/started.ts"
import { withProblems } from "./internal/withProblems.ts"
import { CurrentPrincipal } from "./Principal.ts"
import type { RefusalLimit, RequestLimit, RequestProblems } from "./Problems.ts"
import * as Sse from "./Sse.ts"

type Store = ConversationStore["Service"]

/** A page of messages ends when its files reach this size, in characters of base64. */
const maxFileBytes = 8 * 1024 * 1024

const active: ReadonlyArray<TaskStatus> = ["queued", "running"]

/** The newest active tasks of a user that a list of conversations knows. */
const maxActive = 1_000

const toListed = (conversation: Conversation, activeTaskId: TaskId | undefined): typeof ListedConversation.Type => ({
  ...conversation,
  ...(activeTaskId === undefined ? undefined : { activeTaskId })
})

const fileBytes = ({ message }: StoredMessage): number => {
  let bytes = 0
  for (const part of message.content) {
    if (part.type === "file") bytes += part.data?.length ?? 0
    // A part of another version may be a file, too.
    if (part.type === "unknown") bytes += JSON.stringify(part.raw).length
  }
  return bytes
}

/** Reads in growing pieces, because a page is bounded and files make messages large. */
const messagesPage = Effect.fnUntraced(function*(
  read: (options: { readonly after: MessageId | undefined; readonly limit: number }) => ReturnType<Store["messages"]>,
  { after, limit = 100 }: { readonly after?: MessageId | undefined; readonly limit?: number | undefined }
) {
  const items: Array<StoredMessage> = []
  let bytes = 0
  for (let piece = 8;; piece *= 2) {
    const asked = Math.min(piece, limit + 1 - items.length)
    const more = yield* read({ after: items.at(-1)?.id ?? after, limit: asked })
    for (const message of more) {
      items.push(message)
      bytes += fileBytes(message)
      if (bytes >= maxFileBytes && items.length <= limit) return { items, next: message.id }
    }
    if (more.length < asked || items.length > limit) return paged(items, limit, idOf)
  }
})

/**
 * The handlers of conversations.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"perennial", "conversations">,
  never,
  TaskManager | ConversationStore | Sse.EventStreams | Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "conversations",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const store = yield* ConversationStore
    const streams = yield* Sse.EventStreams
    const location = yield* makeLocation

    /** A conversation of the user. */
    const keyOf = ({ id }: { readonly id: ConversationId }) =>
      Effect.map(CurrentUser, (userId): ConversationKey => ({ id, userId }))

    const read = Effect.fnUntraced(function*(key: ConversationKey) {
      const conversation = yield* store.get(key)
      const tasks = yield* manager.list({ conversationId: key.id, status: active, limit: maxActive })
      return toListed(conversation, tasks.at(-1)?.id)
    })

    return handlers.handleAll({
      list: ({ query }) =>
        Effect.gen(function*() {
          const userId = yield* CurrentUser
          const { limit = 20, order = "createdAt", q: text } = query
          const found = yield* store.list({ ...query, text, userId, limit: limit + 1 })
          const { items, ...next } = paged(found, limit, (last) => ({ at: last[order], id: last.id }))
          // Newest first, so that the oldest task of a conversation, which is its head, comes last.
          const tasks = yield* manager.list({ status: active, limit: maxActive })
          const heads = new Map(tasks.map((task) => [task.conversationId, task.id]))
          return { items: items.map((one) => toListed(one, heads.get(one.id))), ...next }
        }).pipe(withProblems),
      get: ({ params }) => withProblems(Effect.flatMap(keyOf(params), read)),
      rename: ({ params, payload }) =>
        Effect.gen(function*() {
          const key = yield* keyOf(params)
          yield* store.get(key)
          yield* store.setTitle(key.id, wellFormed(payload.title.trim()), { chosen: true })
          return yield* read(key)
        }).pipe(withProblems),
      messages: ({ params, query }) =>
        Effect.gen(function*() {
          const key = yield* keyOf(params)
          return yield* messagesPage((part) => store.messages(key, { ...part, order: query.order }), query)
        }).pipe(withProblems),
      events: ({ headers, params, query }) =>
        Effect.gen(function*() {
          const lastEventId = headers["last-event-id"]
          const after = (lastEventId === "" ? undefined : lastEventId) ?? query.after
          const events = yield* withProblems(manager.conversationEvents(params.id, { after }))
          yield* admitted(streams)
          const principal = yield* CurrentPrincipal
          return streams.response(events, {
            wire: headers.accept?.includes("text/event-stream") === true ? placeSource : placeLog,
            userId: yield* CurrentUser,
            expiresAt: principal?.expiresAt
          })
        }),
      replaced: ({ params, query }) =>
        Effect.gen(function*() {
          const key = yield* keyOf(params)
          return yield* messagesPage((part) => store.replaced(key, part), query)
        }).pipe(withProblems),
      regenerate: ({ headers, params, payload }) =>
        withProblems(Effect.map(
          manager.regenerate(params.id, { ...payload, idempotencyKey: headers["idempotency-key"] }),
          started(location)
        )),
      remove: ({ params }) => withProblems(manager.deleteConversation(params.id))
    })
  })
)
