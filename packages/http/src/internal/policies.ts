/** Deny by default: no endpoint is served by mistake without a user. */
import { Context, Effect } from "effect"
import { Authorization, Public } from "../Authorization.ts"

interface Endpoint {
  readonly method: string
  readonly path: string
  readonly middlewares: ReadonlySet<unknown>
  readonly annotations: Context.Context<never>
}

interface Group {
  readonly endpoints: { readonly [name: string]: Endpoint }
  readonly annotations: Context.Context<never>
}

/** Dies unless every endpoint has `Authorization`, or is marked as public. */
export const checkPolicies = (api: { readonly groups: { readonly [name: string]: Group } }): Effect.Effect<void> => {
  const open = Object.values(api.groups).flatMap((group) =>
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
