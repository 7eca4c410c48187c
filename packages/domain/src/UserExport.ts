/**
 * The lines of an export: everything that the stores have of a user.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Conversation, StoredMessage } from "./Conversation.ts"
import { ConversationId, TaskId, UserId } from "./Ids.ts"
import { Task } from "./Task.ts"
import { StoredEvent } from "./TaskEvent.ts"
import { Delivery, Settings, WebhookId } from "./Webhook.ts"

/**
 * How many lines of each type an export has.
 *
 * @since 0.1.0
 * @category models
 */
export const ExportCounts = Schema.Struct({
  conversations: Schema.Natural,
  messages: Schema.Natural,
  tasks: Schema.Natural,
  events: Schema.Natural,
  webhooks: Schema.Natural,
  deliveries: Schema.Natural
}).annotate({ identifier: "ExportCounts" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ExportCounts extends Schema.Schema.Type<typeof ExportCounts> {}

/**
 * A webhook without its secrets: who has an export must not be able to sign as the server.
 *
 * @since 0.1.0
 * @category models
 */
export const ExportedWebhook = Schema.Struct({
  id: WebhookId,
  url: Settings.fields.url,
  topics: Settings.fields.topics,
  content: Settings.fields.content,
  createdAt: Schema.DateTimeUtcFromString,
  disabledReason: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "ExportedWebhook" })

/**
 * One line of an export. The first line is `user`, and the last line is `end`: an export without it is not complete. Each
 * message comes after its conversation, each event after its task, and each delivery after its webhook.
 *
 * @since 0.1.0
 * @category models
 */
export const ExportLine = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("user"),
    userId: UserId,
    /** The version of the format. Later versions of Perennial add types and fields to a format, and change none. */
    format: Schema.Literal(1),
    exportedAt: Schema.DateTimeUtcFromString
  }),
  Schema.Struct({ type: Schema.Literal("conversation"), conversation: Conversation }),
  Schema.Struct({ type: Schema.Literal("message"), conversationId: ConversationId, message: StoredMessage }),
  Schema.Struct({ type: Schema.Literal("task"), task: Task }),
  Schema.Struct({ type: Schema.Literal("event"), taskId: TaskId, event: StoredEvent }),
  Schema.Struct({ type: Schema.Literal("webhook"), webhook: ExportedWebhook }),
  Schema.Struct({ type: Schema.Literal("delivery"), webhookId: WebhookId, delivery: Delivery }),
  Schema.Struct({ type: Schema.Literal("end"), counts: ExportCounts })
]).annotate({ identifier: "ExportLine" })

/**
 * @since 0.1.0
 * @category models
 */
export type ExportLine = typeof ExportLine.Type

const encode = Schema.encodeSync(Schema.toCodecJson(ExportLine))

/**
 * A line of NDJSON, with its line feed.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeLine = (line: ExportLine): string => `${JSON.stringify(encode(line))}\n`
