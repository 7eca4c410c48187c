/**
 * The endpoint that describes the agents of the server.
 *
 * @since 0.1.0
 */
import { AgentDescription } from "@perennial/domain/Agent"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import * as examples from "./internal/examples.ts"
import { documented } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

/**
 * Describes agents.
 *
 * @since 0.1.0
 * @category groups
 */
export class AgentsApi extends HttpApiGroup.make("agents")
  .add(
    HttpApiEndpoint.get("list", "/agents", {
      success: Schema.Struct({ items: Schema.Array(AgentDescription) }),
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "List the agents",
      description: "With their models and tools. The first agent is the default.",
      responses: { 200: { description: "All agents", example: { items: [examples.agent] } } }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Agents", description: "The agents of the server." }))
{}
