/**
 * What clients of A2A send, in both bindings. Unknown fields are ignored.
 *
 * @since 0.1.0
 */
import { ConversationId } from "@perennial/domain/Ids"
import { Settings } from "@perennial/domain/Webhook"
import { Effect, Schema } from "effect"
import { type A2aRefusal, refuse } from "./A2aErrors.ts"

const Metadata = Schema.Record(Schema.String, Schema.Json)

const common = { metadata: Schema.optionalKey(Metadata), mediaType: Schema.optionalKey(Schema.String) }

/**
 * A part of a message: it has one of `text`, `raw`, `url` and `data`.
 *
 * @since 0.1.0
 * @category models
 */
export const Part = Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  /** The bytes of a file in base64. */
  raw: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String),
  data: Schema.optionalKey(Schema.Json),
  filename: Schema.optionalKey(Schema.String),
  ...common
}).annotate({ identifier: "A2aPart" })

/**
 * @since 0.1.0
 * @category models
 */
export type Part = typeof Part.Type

const Message = Schema.Struct({
  messageId: Schema.NonEmptyString,
  /** The conversation; a new one without it. */
  contextId: Schema.optionalKey(Schema.Union([ConversationId, Schema.Literal("")])),
  /** The task whose question the message answers. */
  taskId: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.Json),
  parts: Schema.NonEmptyArray(Part),
  metadata: Schema.optionalKey(Metadata)
}).annotate({ identifier: "A2aMessage" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Message extends Schema.Schema.Type<typeof Message> {}

/** A header has it. */
const Credential = Schema.String.check(Schema.isMaxLength(4_000))

/**
 * Where a client wants to be told about a task.
 *
 * @since 0.1.0
 * @category models
 */
export const PushConfig = Schema.Struct({
  id: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
  taskId: Schema.optionalKey(Schema.String),
  url: Settings.fields.url,
  token: Schema.optionalKey(Credential),
  authentication: Schema.optionalKey(Schema.Struct({
    scheme: Credential,
    credentials: Schema.optionalKey(Credential)
  }))
}).annotate({ identifier: "A2aTaskPushNotificationConfig" })

/**
 * @since 0.1.0
 * @category models
 */
export interface PushConfig extends Schema.Schema.Type<typeof PushConfig> {}

const HistoryLength = Schema.Natural

/**
 * A message, and how to answer.
 *
 * @since 0.1.0
 * @category models
 */
export const SendMessage = Schema.Struct({
  message: Message,
  configuration: Schema.optionalKey(Schema.Struct({
    historyLength: Schema.optionalKey(HistoryLength),
    returnImmediately: Schema.optionalKey(Schema.Boolean),
    taskPushNotificationConfig: Schema.optionalKey(PushConfig)
  })),
  metadata: Schema.optionalKey(Metadata)
}).annotate({ identifier: "A2aSendMessageRequest" })

/**
 * @since 0.1.0
 * @category models
 */
export interface SendMessage extends Schema.Schema.Type<typeof SendMessage> {}

/**
 * A task.
 *
 * @since 0.1.0
 * @category models
 */
export const OneTask = Schema.Struct({ id: Schema.String, historyLength: Schema.optionalKey(HistoryLength) })

/**
 * Which tasks.
 *
 * @since 0.1.0
 * @category models
 */
export const ListTasks = Schema.Struct({
  contextId: Schema.optionalKey(Schema.String),
  /** A state of A2A, such as `TASK_STATE_WORKING`. */
  status: Schema.optionalKey(Schema.Json),
  /** 1 to 100, 50 by default. */
  pageSize: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
  /** The `nextPageToken` of the page before. */
  pageToken: Schema.optionalKey(Schema.String),
  historyLength: Schema.optionalKey(HistoryLength),
  statusTimestampAfter: Schema.optionalKey(Schema.DateTimeUtcFromString),
  includeArtifacts: Schema.optionalKey(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ListTasks extends Schema.Schema.Type<typeof ListTasks> {}

/**
 * Of a task, one configuration or all.
 *
 * @since 0.1.0
 * @category models
 */
export const OneConfig = Schema.Struct({ taskId: Schema.String, id: Schema.String })

/**
 * @since 0.1.0
 * @category models
 */
export const AllConfigs = Schema.Struct({ taskId: Schema.String })

/**
 * Decodes the parameters of a call of JSON-RPC.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decoder = <S extends Schema.Decoder<unknown>>(
  schema: S
): (params: unknown) => Effect.Effect<S["Type"], A2aRefusal> => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (params) =>
    Effect.mapError(decode(params ?? {}), ({ message }) => refuse("INVALID_PARAMS", `params: ${message}`))
}
