/**
 * The command about conversations.
 */
import { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { ConversationId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import { Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { brief, Output, printable, table, toJson } from "./output.ts"
import * as Place from "./place.ts"
import { Json, place } from "./settings.ts"
import { timeOf } from "./tasks.ts"

const encodeConversation = Schema.encodeSync(Schema.toCodecJson(Conversation))
const encodeMessage = Schema.encodeSync(Schema.toCodecJson(StoredMessage))

/** A message as people read it: its text, and what else it has in brackets. */
const textOf = ({ message }: StoredMessage): string => [...partsOf(message), ...sourcesOf(message)].join("\n")

const sourcesOf = (message: Message.Message): ReadonlyArray<string> =>
  Message.citations(message).map(({ title = "", url = "" }) => `[source ${brief(`${title} ${url}`, 200)}]`)

const partsOf = (message: Message.Message): ReadonlyArray<string> =>
  message.content.map((part) => {
    switch (part.type) {
      case "text":
        return printable(part.text)
      case "provider_tool_call":
      case "tool_call":
        return `[tool ${brief(part.tool, 80)} ${brief(JSON.stringify(part.args), 200)}]`
      case "tool_result":
        return `[tool ${brief(part.tool, 80)}: ${part.status}]`
      case "file":
        return `[file ${brief(part.name ?? part.mediaType, 80)}]`
      default:
        return ""
    }
  }).filter((text) => text !== "")

const printMessages = Effect.fnUntraced(function*(id: ConversationId) {
  const output = yield* Output
  const { messages } = yield* Place.Conversations
  const found = yield* messages(id)
  if (yield* Json) return yield* output.write(`${toJson({ items: found.map((message) => encodeMessage(message)) })}\n`)
  yield* output.write(
    found.map((stored) =>
      `${output.bold(stored.message.role)}  ${timeOf(stored.createdAt)}${
        stored.status === "partial" ? "  (not complete)" : ""
      }\n${textOf(stored)}\n`
    ).join("\n")
  )
})

const printList = Effect.fnUntraced(function*(limit: number) {
  const output = yield* Output
  const { list } = yield* Place.Conversations
  const found = yield* list(limit)
  if (yield* Json) return yield* output.write(`${toJson({ items: found.map((item) => encodeConversation(item)) })}\n`)
  if (found.length === 0) return yield* output.note("There are no conversations.")
  yield* output.write(table(found.map(({ createdAt, id, title }) => [id, timeOf(createdAt), brief(title ?? "", 80)])))
})

export const conversations = Command.make("conversations", {
  conversation: Argument.String("conversation").pipe(
    Argument.withDescription("The id of a conversation: its messages are printed"),
    Argument.withSchema(ConversationId),
    Argument.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
    Flag.withDescription("At most so many conversations, 1 to 1000"),
    Flag.withDefault(20)
  )
}, ({ conversation, limit }) => Option.match(conversation, { onNone: () => printList(limit), onSome: printMessages }))
  .pipe(
    Command.withDescription("List conversations, newest first, or print the messages of one."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )
