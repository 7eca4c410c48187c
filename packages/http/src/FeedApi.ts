/**
 * The part of the API that lists, inboxes and sidebars are built on, as a schema. Runs in a browser.
 *
 * @since 0.1.0
 */
import { ApprovalPage } from "@perennial/domain/Approval"
import { FeedChange } from "@perennial/domain/Feed"
import { TaskId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { lastEventId } from "./internal/apiParts.ts"
import * as examples from "./internal/examples.ts"
import { documented, integer } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

/**
 * One frame of the feed, decoded: `id` is the cursor of the update.
 *
 * @since 0.1.0
 * @category models
 */
export const FeedFrame = Schema.Struct({
  id: Schema.NumberFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0)),
  event: Schema.String,
  data: Schema.fromJsonString(Schema.toCodecJson(FeedChange)).annotate({ identifier: "FeedChangeJson" })
})

const cursor = { description: "The cursor of the last frame that the client has.", schema: integer(0) }

const limit = { minimum: 1, maximum: 100 }

/**
 * What goes on in the user's tasks, and what waits for the user.
 *
 * @since 0.1.0
 * @category groups
 */
export class FeedApi extends HttpApiGroup.make("feed")
  .add(
    HttpApiEndpoint.get("feed", "/feed", {
      query: { after: Schema.optionalKey(Schema.Natural) },
      headers: { "last-event-id": lastEventId, accept: Schema.optionalKey(Schema.String) },
      success: HttpApiSchema.StreamSse({ events: FeedFrame }),
      error: [Problems.TooManyStreams, Problems.TooManyUserStreams, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Follow the user's tasks",
      description:
        "The first frame is a snapshot of the active tasks. The others have the tasks that were accepted, began, " +
        "wait for a person, got a title, or ended. With a cursor the snapshot also has the tasks that ended since. A slow " +
        "reader gets the latest state of each task. A frame also has the disabled webhooks of the user: a snapshot if " +
        "there are any, and the next frame when they have changed.",
      parameters: {
        after: cursor,
        "last-event-id": { ...cursor, description: "The same as `after`. If both are sent, this one counts." }
      },
      responses: { 200: "Server-Sent Events: the `data` of a frame is a change, and its `id` is the cursor" },
      event: examples.feedChange
    })),
    HttpApiEndpoint.get("approvals", "/approvals", {
      query: {
        before: Schema.optionalKey(TaskId),
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween(limit)))
      },
      success: ApprovalPage,
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "List the tool calls that wait for the user",
      description:
        "The calls of the newest task are the first. A page has all calls of each of its tasks. It ends after the task " +
        "that reaches `limit`, or when its arguments reach 1 MiB.",
      parameters: {
        before: { description: "The `next` of the page before." },
        limit: {
          description: "The number of calls after which a page ends; 20 by default.",
          schema: integer(limit.minimum, limit.maximum)
        }
      },
      responses: { 200: { description: "A page of tool calls", example: { items: [examples.approval] } } }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Feed", description: "What changes, and what waits for the user." }))
{}
