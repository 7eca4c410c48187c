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

const cursor = { description: "The cursor of the newest update that is known.", schema: integer(0) }

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
        "Streams a snapshot of what is active, then each task that is accepted, begins, waits for a person, gives " +
        "a title, or ends. With a cursor the snapshot also has the tasks that ended since. A slow reader gets the latest " +
        "state of a task, not the states between.",
      parameters: {
        after: cursor,
        "last-event-id": { ...cursor, description: "As `after`, which it takes precedence over." }
      },
      responses: { 200: "The feed" }
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
        "By task, newest first. A page has all approvals of each of its tasks, and ends after the task that " +
        "reaches `limit`, or early from 1 MiB of arguments on.",
      parameters: {
        before: { description: "The `next` of the page before." },
        limit: {
          description: "The number of approvals after which a page ends; 20 by default.",
          schema: integer(limit.minimum, limit.maximum)
        }
      },
      responses: { 200: "A page of approvals" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Feed" }))
{}
