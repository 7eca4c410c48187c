/**
 * The endpoints of a person's own data: all of them in one stream, and none of them any more. Runs in a browser.
 *
 * @since 0.1.0
 */
import { Receipt } from "@perennial/domain/UserData"
import { ExportLine } from "@perennial/domain/UserExport"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

/**
 * An export: one `ExportLine` for each line. A line is at most as large as the largest message, which may have files.
 *
 * @since 0.1.0
 * @category models
 */
export const ExportStream = HttpApiSchema.StreamNdjson({ schema: ExportLine, maxElementBytes: "64 MiB" })

/**
 * Export and erase what the server has of the user.
 *
 * @since 0.1.0
 * @category groups
 */
export class UsersApi extends HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.get("export", "/users/me/export", {
      success: ExportStream,
      error: [Problems.RouteNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Export all data of the user",
      responses: { 200: { description: "The export", example: examples.exportLine } },
      description:
        "Lines of JSON, each with a `type`: conversations, messages, tasks, events, webhooks and their deliveries. " +
        "The last line is `end`, with the number of lines of each type: an export without it is not complete."
    })),
    HttpApiEndpoint.delete("erase", "/users/me", {
      success: Receipt,
      error: [Problems.RouteNotFound, Problems.UserStillActive, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Erase all data of the user",
      responses: { 200: { description: "The data are erased", example: examples.receipt } },
      description:
        "Cancels the active tasks, waits for their ends, and removes everything that the stores have of the user. " +
        "The answer counts what was removed. The request is safe to repeat: it goes on where an earlier one was when it broke."
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Users", description: "Everything that the server has of the user." }))
{}
