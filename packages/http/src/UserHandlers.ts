/**
 * The handlers of a person's own data, over `UserData`.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { Effect, type Layer } from "effect"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { makePersonalData } from "./internal/personalData.ts"
import type { RefusalLimit, RequestLimit, RequestProblems } from "./Problems.ts"

/**
 * The handlers of a person's own data. Where the application provides no `UserData`, they answer 404.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"perennial", "users">,
  never,
  Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "users",
  Effect.fnUntraced(function*(handlers) {
    const personal = yield* makePersonalData
    return handlers.handleAll({
      export: () => Effect.flatMap(CurrentUser, personal.export),
      erase: () => Effect.flatMap(CurrentUser, personal.erase)
    })
  })
)
