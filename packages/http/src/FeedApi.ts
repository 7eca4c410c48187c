/**
 * The part of the API that lists, inboxes and sidebars are built on, as a schema. Runs in a browser.
 *
 * @since 0.1.0
 */
import { ApprovalPage } from "@perennial/domain/Approval"
import { TaskId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { documented, integer } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

const limit = { minimum: 1, maximum: 100 }

/**
 * What goes on in the user's tasks, and what waits for the user.
 *
 * @since 0.1.0
 * @category groups
 */
export class FeedApi extends HttpApiGroup.make("feed")
  .add(
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
