/**
 * Who makes a request, and the cookie of a browser.
 *
 * @since 0.1.0
 */
import { UserId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization, Public } from "./Authorization.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

/**
 * What the credential of a request proves.
 *
 * @since 0.1.0
 * @category models
 */
export const Me = Schema.Struct({
  userId: UserId,
  roles: Schema.Array(Schema.Literal("operator")),
  /** When the credential ends, in milliseconds since 1970-01-01T00:00Z. Absent if it does not end. */
  expiresAt: Schema.optionalKey(Schema.Natural)
}).annotate({ identifier: "Me" })

/**
 * Who the user is, and signing in.
 *
 * @since 0.1.0
 * @category groups
 */
export class AccountApi extends HttpApiGroup.make("account")
  .add(
    HttpApiEndpoint.get("me", "/me", { success: Me }).annotateMerge(documented({
      summary: "Ask who the user is",
      description: "What the credential of the request proves.",
      responses: { 200: { description: "The user and the roles, and when the credential ends", example: examples.me } }
    })),
    HttpApiEndpoint.post("signIn", "/sign-in", { success: HttpApiSchema.NoContent }).annotateMerge(documented({
      summary: "Keep the token in a cookie",
      description:
        "For pages of this server: send the token as `Authorization: Bearer`. The browser then sends the token " +
        "with every request, and no script can read it.",
      responses: { 204: "The response sets the cookie `access_token`" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  // After the middleware: a token that has ended must not keep its cookie.
  .add(
    HttpApiEndpoint.post("signOut", "/sign-out", { success: HttpApiSchema.NoContent, error: Problems.Forbidden })
      .annotateMerge(documented({
        summary: "Remove the cookie",
        description: "For pages of this server. The token itself stays valid.",
        responses: { 204: "The response removes the cookie `access_token`" }
      }))
      .annotate(Public, true)
  )
  .annotateMerge(
    OpenApi.annotations({ title: "Account", description: "Who the user is, and the cookie of a browser." })
  )
{}
