/** Reads everything that the stores have of a user, in pages. */
import { DateTime, Effect, Option, Stream } from "effect"
import type { Conversation } from "../Conversation.ts"
import type { ConversationStore } from "../ConversationStore.ts"
import type { MessageId, TaskId, UserId } from "../Ids.ts"
import type { Task } from "../Task.ts"
import type { TaskBackend } from "../TaskBackend.ts"
import type { ConversationStoreError, TaskBackendError } from "../TaskError.ts"
import type { ExportCounts, ExportLine } from "../UserExport.ts"
import type { Webhook } from "../Webhook.ts"
import type { WebhookStore, WebhookStoreError } from "../WebhookStore.ts"

/** Conversations and tasks in one query. */
const pageSize = 100
/** Messages in one query: each may have megabytes of files. */
const messagesRead = 8
/** A page of events ends when it has reached one of these. */
const eventsRead = { limit: 256, maxBytes: 1024 * 1024 }
/** The most that a store returns. */
const deliveriesRead = 1_000

interface Stores {
  readonly backend: TaskBackend["Service"]
  readonly conversations: ConversationStore["Service"]
  readonly webhooks: WebhookStore["Service"]
}

type Lines = Stream.Stream<ExportLine, TaskBackendError | ConversationStoreError | WebhookStoreError>

/** Pages that are asked for by the last element of the page before. */
const paged = <A, E>(size: number, read: (last: A | undefined) => Effect.Effect<ReadonlyArray<A>, E>) =>
  Stream.paginate(Option.none<A>(), (last) =>
    Effect.map(
      read(Option.getOrUndefined(last)),
      (page) => [page, page.length < size ? Option.none() : Option.some(Option.fromUndefinedOr(page.at(-1)))] as const
    ))

const counted: Partial<Record<ExportLine["type"], keyof ExportCounts>> = {
  conversation: "conversations",
  message: "messages",
  task: "tasks",
  event: "events",
  webhook: "webhooks",
  delivery: "deliveries"
}

export const makeExport = ({ backend, conversations, webhooks }: Stores) => {
  /** Also the messages that were replaced, which come after the others. */
  const messagesOf = (userId: UserId, conversation: Conversation): Lines =>
    Stream.concat(
      messagesBy("messages", userId, conversation),
      messagesBy("replaced", userId, conversation)
    )

  const messagesBy = (which: "messages" | "replaced", userId: UserId, { id }: Conversation): Lines =>
    paged(
      messagesRead,
      (last: { readonly id: MessageId } | undefined) =>
        conversations[which]({ id, userId }, { after: last?.id, limit: messagesRead }).pipe(
          // It was deleted meanwhile.
          Effect.catchTag("ConversationNotFound", () => Effect.succeed([]))
        )
    ).pipe(Stream.map((message): ExportLine => ({ type: "message", conversationId: id, message })))

  /** The events that the log had when the task was read: an active task does not make the export endless. */
  const eventsOf = ({ id, lastSeq }: Task): Lines =>
    Stream.paginate(0, (after: number) =>
      backend.events(id, { after, ...eventsRead }).pipe(
        Effect.map(({ events }) => {
          const page = events.filter(({ seq }) => seq <= lastSeq)
          const last = page.at(-1)?.seq
          return [page, last === undefined || last >= lastSeq ? Option.none() : Option.some(last)] as const
        }),
        // Retention has removed the log, or the task was deleted meanwhile.
        Effect.catchTag(["EventsExpired", "TaskNotFound", "CursorAhead"], () =>
          Effect.succeed([[], Option.none()] as const))
      )).pipe(Stream.map((event): ExportLine => ({ type: "event", taskId: id, event })))

  const allConversations = (userId: UserId): Lines =>
    paged(
      pageSize,
      (last: Conversation | undefined) =>
        conversations.list({
          userId,
          children: true,
          before: last && { at: last.createdAt, id: last.id },
          limit: pageSize
        })
    ).pipe(
      Stream.flatMap((conversation): Lines =>
        Stream.concat(Stream.succeed({ type: "conversation", conversation }), messagesOf(userId, conversation))
      )
    )

  const allTasks = (userId: UserId): Lines =>
    paged(
      pageSize,
      (last: { readonly id: TaskId } | undefined) => backend.list({ userId, before: last?.id, limit: pageSize })
    ).pipe(
      Stream.flatMap((task): Lines => Stream.concat(Stream.succeed({ type: "task", task }), eventsOf(task)))
    )

  const deliveriesOf = (webhook: Webhook): Lines =>
    Stream.fromIterableEffect(webhooks.deliveries(webhook, deliveriesRead)).pipe(
      Stream.map((delivery): ExportLine => ({ type: "delivery", webhookId: webhook.id, delivery }))
    )

  const allWebhooks = (userId: UserId): Lines =>
    Stream.fromIterableEffect(webhooks.list(userId)).pipe(Stream.flatMap((webhook): Lines => {
      const { content, createdAt, disabled, id, topics, url } = webhook
      const exported = {
        id,
        url,
        topics,
        content,
        createdAt: DateTime.makeUnsafe(createdAt),
        ...(disabled === undefined ? undefined : { disabledReason: disabled.reason })
      }
      return Stream.concat(Stream.succeed({ type: "webhook", webhook: exported }), deliveriesOf(webhook))
    }))

  return (userId: UserId): Lines =>
    Stream.suspend(() => {
      const counts = { conversations: 0, messages: 0, tasks: 0, events: 0, webhooks: 0, deliveries: 0 }
      const begin = Effect.map(DateTime.now, (exportedAt): ExportLine => ({
        type: "user",
        userId,
        format: 1,
        exportedAt
      }))
      return Stream.fromEffect(begin).pipe(
        Stream.concat(allConversations(userId)),
        Stream.concat(allTasks(userId)),
        Stream.concat(allWebhooks(userId)),
        Stream.map((line) => {
          const count = counted[line.type]
          if (count !== undefined) counts[count]++
          return line
        }),
        Stream.concat(Stream.sync((): ExportLine => ({ type: "end", counts })))
      )
    })
}
