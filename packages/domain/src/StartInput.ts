/**
 * What a caller gives to start a task: one schema, with the bounds that hold in process and over HTTP (P11).
 *
 * The bounds are checked where a task is started, not where a stored task is read, so that they may change.
 *
 * @since 0.1.0
 */
import { type Effect, Schema } from "effect"
import * as ContentBounds from "./ContentBounds.ts"
import { AgentId, ConversationId, MessageId } from "./Ids.ts"
import * as Input from "./Input.ts"
import { FilePart, text, TextPart, UserMessage } from "./Message.ts"
import * as MessageFiles from "./MessageFiles.ts"
import { OnBusy } from "./Task.ts"
import type { InvalidInput } from "./TaskError.ts"

/**
 * How much text a user's message may hold, in bytes of UTF-8: 256 KiB.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxMessageBytes = 256 * 1024

/**
 * How large `metadata` and `userMetadata` may be, each in characters of JSON: 64 Ki, nested at most 64 levels deep.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxMetadataLength = 64 * 1024

/**
 * How long an idempotency key may be, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxIdempotencyKeyLength = 200

/**
 * How large `logContext` may be, in characters of JSON: 4 Ki.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLogContextLength = 4 * 1024

const notEmpty = { expected: "a message that is not empty" }
const notTooLong = { expected: `text of at most ${maxMessageBytes} bytes` }

const TextMessage = ContentBounds.WellFormedText.check(
  Schema.makeFilter((value: string) => value.trim() !== "", notEmpty),
  Schema.makeFilter((value: string) => ContentBounds.fitsBytes(value, maxMessageBytes), notTooLong)
)

// `providerData` comes from the answers of a model's provider. From a caller it is ignored, as unknown fields are.
const UserPart = Schema.Union([
  TextPart.mapFields(({ type }) => ({ type, text: ContentBounds.WellFormedText })).annotate({
    identifier: "NewTextPart"
  }),
  FilePart.mapFields(
    ({ data, mediaType, type, url }) => ({
      type,
      mediaType,
      data,
      url,
      name: Schema.optionalKey(ContentBounds.WellFormedText)
    }),
    { unsafePreserveChecks: true }
  ).annotate({ identifier: "NewFilePart" })
])

const PartsMessage = Schema.Struct({ ...UserMessage.fields, content: Schema.NonEmptyArray(UserPart) }).check(
  Schema.makeFilter(
    (message: UserMessage) => message.content.some((part) => part.type === "file") || text(message).trim() !== "",
    notEmpty
  ),
  Schema.makeFilter((message: UserMessage) => ContentBounds.fitsBytes(text(message), maxMessageBytes), notTooLong),
  Schema.makeFilter(MessageFiles.problemOf)
)

const BoundedMetadata = ContentBounds.boundedFieldsSchema(maxMetadataLength)

const LogContext = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((value: Readonly<Record<string, string>>) => ContentBounds.jsonProblem(value, maxLogContextLength))
)

/**
 * Names a request, so that repeating it starts nothing new: 1 to 200 printable ASCII characters, which an HTTP header can
 * carry.
 *
 * @since 0.1.0
 * @category models
 */
export const IdempotencyKey = Schema.NonEmptyString.check(
  Schema.isMaxLength(maxIdempotencyKeyLength),
  Schema.makeFilter((key: string) => /^[\x21-\x7E](?:[\x20-\x7E]*[\x21-\x7E])?$/.test(key), {
    expected: "printable ASCII characters, without a space at either end"
  })
)

/**
 * What to start.
 *
 * @since 0.1.0
 * @category models
 */
export const StartInput = Schema.Struct({
  /** Text, or a message with files. Not empty, at most 256 KiB of text, 10 files and 5 MiB of them. */
  message: Schema.Union([TextMessage, PartsMessage]).annotate({ expected: "a string or a user message" }),
  /** An unknown id is created for the caller; without one a new conversation begins. */
  conversationId: Schema.optionalKey(ConversationId),
  /** Without one the first registered agent runs. */
  agentId: Schema.optionalKey(AgentId),
  /** What to do when the conversation has an active task; `reject` by default. */
  onBusy: Schema.optionalKey(OnBusy),
  /** Kept with the user's message. */
  userMetadata: Schema.optionalKey(BoundedMetadata),
  /** Kept with the task. */
  metadata: Schema.optionalKey(BoundedMetadata),
  /**
   * One of the user's messages of the conversation, to edit it and send it again: the new message takes its place. The
   * old message, and everything after it, leaves the conversation when the task begins; the events of their tasks stay.
   * If the old message has already left the conversation, the new message is added at the end.
   */
  replaces: Schema.optionalKey(MessageId),
  /** Annotates every log line of the task, also after a recovery. A remote manager does not send it. */
  logContext: Schema.optionalKey(LogContext),
  /** The same key with the same input returns the same task; kept as long as the task. */
  idempotencyKey: Schema.optionalKey(IdempotencyKey)
}).annotate({ identifier: "StartInput" })

/**
 * What to start, as callers write it: ids are plain text, and a field may be left out by giving it `undefined`. A message
 * with parts of a type that this version does not know is refused.
 *
 * @since 0.1.0
 * @category models
 */
export type StartInput = Omit<OrUndefined<typeof StartInput.Encoded>, "message"> & {
  readonly message: string | UserMessage
}

/**
 * Checks what a caller gives to start a task.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeStart: (input: StartInput) => Effect.Effect<typeof StartInput.Type, InvalidInput> = Input.decoder(
  StartInput,
  "input"
)

const { agentId, idempotencyKey, logContext, metadata, onBusy } = StartInput.fields

/**
 * How to answer a message again.
 *
 * @since 0.1.0
 * @category models
 */
export const RegenerateOptions = Schema.Struct({
  /** Without one the agent that ran before. */
  agentId,
  onBusy,
  metadata,
  logContext,
  idempotencyKey
}).annotate({ identifier: "RegenerateOptions" })

/**
 * How to answer a message again, as callers write it.
 *
 * @since 0.1.0
 * @category models
 */
export type RegenerateOptions = OrUndefined<typeof RegenerateOptions.Encoded>

/**
 * Checks what a caller gives to answer a message again.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeRegenerate: (
  options: RegenerateOptions
) => Effect.Effect<typeof RegenerateOptions.Type, InvalidInput> = Input.decoder(RegenerateOptions, "options")

/** Callers may also leave a field out by giving it `undefined`. */
type OrUndefined<Input> = {
  readonly [Key in keyof Input]: object extends Pick<Input, Key> ? Input[Key] | undefined : Input[Key]
}
