/**
 * The endpoint that makes tickets for event streams.
 *
 * @since 0.1.0
 */
import { TaskId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

/**
 * A ticket, and until when it opens streams, in milliseconds since 1970-01-01T00:00Z.
 *
 * @since 0.1.0
 * @category models
 */
export const Ticket = Schema.Struct({ ticket: Schema.String, expiresAt: Schema.Natural }).annotate({
  identifier: "Ticket"
})

const TicketFor = Schema.Struct({ taskId: Schema.optionalKey(TaskId) }).annotate({ identifier: "TicketFor" })

/**
 * Makes tickets.
 *
 * @since 0.1.0
 * @category groups
 */
export class TicketsApi extends HttpApiGroup.make("tickets")
  .add(
    HttpApiEndpoint.post("create", "/tickets", {
      // The second is no body at all.
      payload: [TicketFor, Schema.Undefined],
      success: Ticket.pipe(HttpApiSchema.status("Created")),
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Make a ticket for event streams",
      description:
        "For an `EventSource`, which cannot send headers. Add `?ticket=` to the URL of an event stream. For a few " +
        "minutes the ticket opens the streams of the user, or of one task. An open stream continues.",
      example: {},
      bodyIsOptional: true,
      responses: { 201: { description: "The ticket", example: examples.ticket } }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Tickets", description: "Credentials for event streams in browsers." }))
{}
