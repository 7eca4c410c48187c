/**
 * Middleware that a test adds to the API. It denies every request to its group or endpoint if it is armed.
 */
import type { Api } from "@perennial/http/Api"
import { Effect, Layer } from "effect"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"

export class Denied extends HttpApiError.Problem<Denied>()("Denied", {
  type: "urn:test:denied",
  status: 429,
  title: "Denied"
}) {}

class GroupGuard extends HttpApiMiddleware.Service<GroupGuard>()("test/GroupGuard", { error: Denied }) {}
class EndpointGuard extends HttpApiMiddleware.Service<EndpointGuard>()("test/EndpointGuard", { error: Denied }) {}

/** Adds `GroupGuard` to every group, and `EndpointGuard` to the endpoint `tasks.get`. */
export const guard = (api: typeof Api) => {
  const { account, agents, conversations, feed, operator, system, tasks, tickets, users, webhooks } = api.groups
  return api
    .add(tasks.middleware(GroupGuard).add(tasks.endpoints.get.middleware(GroupGuard).middleware(EndpointGuard)))
    .add(conversations.middleware(GroupGuard))
    .add(feed.middleware(GroupGuard))
    .add(agents.middleware(GroupGuard))
    .add(account.middleware(GroupGuard))
    .add(operator.middleware(GroupGuard))
    .add(tickets.middleware(GroupGuard))
    .add(webhooks.middleware(GroupGuard))
    .add(users.middleware(GroupGuard))
    .add(system.middleware(GroupGuard))
}

/** Provides both guards. Only the armed guard denies requests. */
export const layerGuards = (armed: "groups" | "endpoint") => {
  const denied = Effect.fail(new Denied({ detail: "Denied by a middleware of the test." }))
  return Layer.mergeAll(
    Layer.succeed(GroupGuard, (handler) => armed === "groups" ? denied : handler),
    Layer.succeed(EndpointGuard, (handler) => armed === "endpoint" ? denied : handler)
  )
}
