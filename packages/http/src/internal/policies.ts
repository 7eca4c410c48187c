/** Deny by default: no endpoint is served by mistake without a user. */
import { Context, Effect } from "effect"
import { Authorization, Public } from "../Authorization.ts"
import type { Group } from "../Face.ts"

/** Dies unless every endpoint has `Authorization`, or is marked as public. */
export const checkPolicies = (groups: ReadonlyArray<Group>): Effect.Effect<void> => {
  const open = groups.flatMap((group) =>
    Object.values(group.endpoints).filter((endpoint) =>
      !endpoint.middlewares.has(Authorization) &&
      !Context.get(endpoint.annotations, Public) &&
      !Context.get(group.annotations, Public)
    )
  )
  const [first] = open
  return first === undefined ? Effect.void : Effect.die(
    new Error(
      `${first.method} ${first.path} has no policy: add the middleware Authorization, or annotate it with Authorization.Public.`
    )
  )
}
