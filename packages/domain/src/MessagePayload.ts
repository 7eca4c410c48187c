/**
 * Messages as the text that a store keeps.
 *
 * A text that cannot be read hides neither the messages around it nor the task that it belongs to.
 *
 * @since 0.1.0
 */
import { DateTime, Option, Schema } from "effect"
import { StoredMessage } from "./Conversation.ts"
import { type MessageId, taskIdOf } from "./Ids.ts"
import { preview, toRaw, type UnknownPart, UserMessage } from "./Message.ts"

const decodeUser = Schema.decodeUnknownOption(Schema.fromJsonString(UserMessage))
const Stored = Schema.fromJsonString(StoredMessage)
const encodeStored = Schema.encodeSync(Stored)
const decodeStored = Schema.decodeUnknownOption(Stored)

/** What a message that cannot be read still tells. */
const decodeRest = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({
  createdAt: Schema.DateTimeUtcFromString,
  message: Schema.Struct({ role: Schema.Literals(["user", "assistant"]) })
})))

/** The one part of a message that stands for a message that cannot be read. */
const unreadable: UnknownPart = { type: "unknown", raw: { type: "unreadable" } }

/**
 * Stands for a user's message that a store has, but cannot read.
 *
 * @since 0.1.0
 * @category constants
 */
export const unreadableInput: UserMessage = { role: "user", content: [unreadable] }

/**
 * The text of the message that a task answers.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeInput = (input: UserMessage): string => JSON.stringify(toRaw(input))

/**
 * The message that a task answers. None when the text is not a message of a user.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeInput = (text: string | null): Option.Option<UserMessage> => decodeUser(text)

/**
 * What a list shows of a conversation to which these messages were added last. Undefined if none of them has text.
 *
 * @since 0.1.0
 * @category accessors
 */
export const previewOf = (messages: ReadonlyArray<StoredMessage>): string | undefined => {
  for (const { message } of messages.toReversed()) {
    const found = preview(message)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * The text of a message of a conversation. Throws when a value in the message is not JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (message: StoredMessage): string => encodeStored(message)

/**
 * The message of a text. None when the text is not a message: `makeUnreadable` then takes its place.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string): Option.Option<StoredMessage> => decodeStored(text)

/**
 * A message that stands for one that cannot be read, so that it hides none of the messages around it. Its one part is
 * `{ type: "unknown", raw: { type: "unreadable" } }`. It is an assistant's message unless the text says that it is the
 * user's, and its time is 1970-01-01T00:00Z where the text has none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeUnreadable = (text: string, id: MessageId): StoredMessage => {
  const rest = Option.getOrUndefined(decodeRest(text))
  return {
    id,
    taskId: taskIdOf(id),
    createdAt: rest?.createdAt ?? DateTime.makeUnsafe(0),
    message: { role: rest?.message.role ?? "assistant", content: [unreadable] },
    status: "complete"
  }
}
