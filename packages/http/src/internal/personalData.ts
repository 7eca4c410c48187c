/** The export and the deletion of a user over HTTP. Without a `UserData` of the application both are answered 404. */
import type { UserId } from "@perennial/domain/Ids"
import { type Receipt, UserData } from "@perennial/domain/UserData"
import { encodeLine } from "@perennial/domain/UserExport"
import { Effect, Option, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { RouteNotFound, type Unavailable, type UserStillActive } from "../Problems.ts"
import { withProblems } from "./withProblems.ts"

interface PersonalData {
  readonly export: (
    userId: UserId
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, RouteNotFound, HttpServerRequest.HttpServerRequest>
  readonly erase: (
    userId: UserId
  ) => Effect.Effect<Receipt, RouteNotFound | UserStillActive | Unavailable, HttpServerRequest.HttpServerRequest>
}

const routeNotFound = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  ({ url }) =>
    Effect.fail(
      new RouteNotFound({
        path: url.slice(0, 200),
        detail: "This server exports and erases no users: nothing is at this path."
      })
    )
)

const headers = {
  "cache-control": "no-store",
  "content-disposition": "attachment; filename=\"perennial-export.ndjson\""
}

export const makePersonalData: Effect.Effect<PersonalData> = Effect.map(
  Effect.serviceOption(UserData),
  Option.match({
    onNone: () => ({ export: () => routeNotFound, erase: () => routeNotFound }),
    onSome: (userData) => ({
      export: (userId) =>
        Effect.sync(() => {
          const bytes = userData.export(userId).pipe(
            // The response breaks off without its last line, and the client sees that the export is not complete.
            Stream.tapError((error) => Effect.logError("An export of a user is not complete.", error)),
            Stream.map(encodeLine),
            Stream.encodeText
          )
          return HttpServerResponse.stream(bytes, { contentType: "application/x-ndjson", headers })
        }),
      erase: (userId) => withProblems(userData.erase(userId))
    })
  })
)
