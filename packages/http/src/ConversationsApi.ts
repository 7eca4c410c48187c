/**
 * The part of the API that is about conversations and their messages, as a schema. Runs in a browser.
 *
 * @since 0.1.0
 */
import { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { ConversationOrder } from "@perennial/domain/ConversationStore"
import { EventPlaceFromString } from "@perennial/domain/EventPlace"
import { ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import { RegenerateOptions } from "@perennial/domain/StartInput"
import { Schema, Struct } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { describeLimit, limit, longest, page } from "./internal/apiParts.ts"
import { ConversationCursor } from "./internal/conversationCursor.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import { describePlace, lastPlace, PlaceFrame } from "./internal/placeParts.ts"
import { describeKey, idempotencyKey, Started, startErrors } from "./internal/startParts.ts"
import * as Problems from "./Problems.ts"

/**
 * How to answer again; the whole body may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export const Regenerate = RegenerateOptions.mapFields(Struct.omit(["idempotencyKey", "logContext"])).annotate({
  identifier: "Regenerate"
})

/**
 * A conversation, and what goes on in it.
 *
 * @since 0.1.0
 * @category models
 */
export const ListedConversation = Conversation.mapFields(Struct.assign({
  /** The task that runs, or that is the next to run. Absent while no task is active. */
  activeTaskId: Schema.optionalKey(TaskId)
})).annotate({ identifier: "ListedConversation" })

/**
 * A new title: 1 to 200 characters, not only white space.
 *
 * @since 0.1.0
 * @category models
 */
export const Rename = Schema.Struct({
  title: Schema.String.check(Schema.isMaxLength(200), Schema.isPattern(/\S/))
}).annotate({ identifier: "Rename" })

/**
 * One frame of the events of a conversation, decoded: `id` is the place of the event, `data` the event with its time.
 *
 * @since 0.1.0
 * @category models
 */
export const ConversationFrame = PlaceFrame

const describeConversation = { description: "The id of the conversation." }
const conversationParams = { id: ConversationId }

/**
 * Read, rename and remove conversations.
 *
 * @since 0.1.0
 * @category groups
 */
export class ConversationsApi extends HttpApiGroup.make("conversations")
  .add(
    HttpApiEndpoint.get("list", "/conversations", {
      query: {
        order: Schema.optionalKey(ConversationOrder),
        q: Schema.optionalKey(Schema.NonEmptyString.check(Schema.isMaxLength(200))),
        before: Schema.optionalKey(ConversationCursor),
        limit: limit(longest.conversations)
      },
      success: page(ListedConversation, ConversationCursor),
      error: Problems.Unavailable
    }).annotateMerge(
      documented({
        summary: "List conversations",
        description:
          "The conversation that was created last is the first, or the one that was changed last. A page without " +
          "`next` is the last page.",
        parameters: {
          order: { description: "The time that is their order: `createdAt`, the default, or `updatedAt`." },
          q: {
            description:
              "Only conversations with these words in their messages or their title, each whole or the beginning of one."
          },
          before: { description: "The `next` of the page before.", schema: { type: "string" } },
          limit: describeLimit("conversations", 20)
        },
        responses: { 200: { description: "A page of conversations", example: { items: [examples.conversation] } } }
      })
    ),
    HttpApiEndpoint.get("get", "/conversations/:id", {
      params: conversationParams,
      success: ListedConversation,
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Read a conversation",
      description: "The conversation without its messages.",
      parameters: { id: describeConversation },
      responses: { 200: { description: "The conversation", example: examples.conversation } }
    })),
    HttpApiEndpoint.patch("rename", "/conversations/:id", {
      params: conversationParams,
      payload: Rename,
      success: ListedConversation,
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Rename a conversation",
      description: "Gives the conversation another title.",
      parameters: { id: describeConversation },
      example: { title: "A greeting" },
      responses: { 200: { description: "The conversation", example: examples.conversation } }
    })),
    HttpApiEndpoint.get("messages", "/conversations/:id/messages", {
      params: conversationParams,
      query: {
        after: Schema.optionalKey(MessageId),
        order: Schema.optionalKey(Schema.Literals(["oldest", "newest"])),
        limit: limit(longest.messages)
      },
      success: page(StoredMessage, MessageId),
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(
      documented({
        summary: "Read the messages of a conversation",
        description:
          "The oldest message is the first, or the newest. A page without `next` is the last page. A page ends early " +
          "when its files reach 8 MiB.",
        parameters: {
          id: describeConversation,
          after: { description: "The `next` of the page before." },
          order: { description: "Which messages come first: `oldest`, the default, or `newest`." },
          limit: describeLimit("messages", 100)
        },
        responses: { 200: { description: "A page of messages", example: { items: [examples.message] } } }
      })
    ),
    HttpApiEndpoint.get("events", "/conversations/:id/events", {
      params: conversationParams,
      query: { after: Schema.optionalKey(EventPlaceFromString) },
      headers: { "last-event-id": lastPlace, accept: Schema.optionalKey(Schema.String) },
      success: HttpApiSchema.StreamSse({ events: ConversationFrame }),
      error: [
        Problems.ConversationNotFound,
        Problems.CursorAhead,
        Problems.EventsExpired,
        Problems.TooManyStreams,
        Problems.TooManyUserStreams,
        Problems.Unavailable
      ]
    }).annotateMerge(documented({
      summary: "Follow the events of a conversation",
      description:
        "Streams the events of one task after the other, in the order in which the tasks were accepted, and waits for " +
        "further tasks. The cursor is `<taskId>/<seq>` of an event, such as the id of a message; without it the stream begins " +
        "with the first task.",
      parameters: {
        id: describeConversation,
        after: { description: "The cursor of the last event that the client has.", ...describePlace },
        "last-event-id": { description: "The same as `after`. If both are sent, this one counts.", ...describePlace }
      },
      responses: { 200: "Server-Sent Events: the `data` of a frame is an event, and its `id` is `<taskId>/<seq>`" },
      event: examples.frame
    })),
    HttpApiEndpoint.get("replaced", "/conversations/:id/replaced", {
      params: conversationParams,
      query: { after: Schema.optionalKey(MessageId), limit: limit(longest.messages) },
      success: page(StoredMessage, MessageId),
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(
      documented({
        summary: "Read messages that were replaced",
        description:
          "The earlier versions of messages, in the order in which they were added. `replaces` of a user's message " +
          "names the version before.",
        parameters: {
          id: describeConversation,
          after: { description: "The `next` of the page before." },
          limit: describeLimit("messages", 100)
        },
        responses: { 200: { description: "A page of messages", example: { items: [examples.message] } } }
      })
    ),
    HttpApiEndpoint.post("regenerate", "/conversations/:id/regenerate", {
      params: conversationParams,
      headers: { "idempotency-key": idempotencyKey },
      // The second is no body at all.
      payload: [Regenerate, Schema.Undefined],
      success: Started,
      error: startErrors
    }).annotateMerge(documented({
      summary: "Repeat the last answer",
      description:
        "Starts a task with the user's last message. The new answer replaces the old one, as with `replaces` of " +
        "`POST /tasks`.",
      parameters: { id: describeConversation, "idempotency-key": describeKey },
      example: { onBusy: "reject" },
      bodyIsOptional: true,
      responses: { 201: { description: "The task is stored", example: examples.queued } }
    })),
    HttpApiEndpoint.delete("remove", "/conversations/:id", {
      params: conversationParams,
      success: HttpApiSchema.NoContent,
      error: [Problems.ConversationNotFound, Problems.ConversationBusy, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Remove a conversation",
      description:
        "Removes the conversation with its tasks, events and messages. A conversation with an active task is not " +
        "removed.",
      parameters: { id: describeConversation },
      responses: { 204: "The conversation is removed" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Conversations", description: "Read, rename and remove conversations." }))
{}
