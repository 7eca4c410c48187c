/**
 * Agent cards: what an agent is, and where clients of A2A reach it.
 *
 * @since 0.1.0
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import { Effect, Option } from "effect"
import { HttpServerRequest } from "effect/http"
import { LinkBase } from "../../internal/linkBase.ts"
import { PublicUrl } from "../../internal/publicUrl.ts"

/**
 * Something that an agent can do, for people and for agents that choose one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Skill {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly tags: ReadonlyArray<string>
  readonly examples?: ReadonlyArray<string> | undefined
}

/**
 * What a card says of an agent, to everybody. By default the name is the id of the agent, and there is one skill.
 *
 * @since 0.1.0
 * @category models
 */
export interface Description {
  readonly name?: string | undefined
  readonly description?: string | undefined
  /** The version of the agent; `1.0.0` by default. */
  readonly version?: string | undefined
  readonly skills?: ReadonlyArray<Skill> | undefined
}

/**
 * The version of the protocol.
 *
 * @since 0.1.0
 * @category constants
 */
export const protocolVersion = "1.0"

/**
 * The path of an agent, for both bindings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pathOf = (agentId: string): string => `/a2a/${encodeURIComponent(agentId)}`

/** The URL of the routes: the public one, or that of the request. */
const baseUrl = Effect.gen(function*() {
  const publicUrl = yield* PublicUrl
  const base = yield* LinkBase
  if (publicUrl !== undefined) return base
  const request = yield* HttpServerRequest.HttpServerRequest
  // A web-standard request has its whole URL, and may have no `Host`.
  if (URL.canParse(request.originalUrl)) return `${new URL(request.originalUrl).origin}${base}`
  const url = HttpServerRequest.toURL(request)
  return `${Option.match(url, { onNone: () => "http://localhost", onSome: ({ origin }) => origin })}${base}`
})

/** Without the tools of the agent: cards need no token. */
const skillOf = (name: string, description: string): Skill => ({ id: "chat", name, description, tags: ["chat"] })

/**
 * The card of an agent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(agent: AgentDescription, given: Description, pushes: boolean) {
  const url = `${yield* baseUrl}${pathOf(agent.id)}`
  const { description = `The agent "${agent.id}".`, name = agent.id, version = "1.0.0" } = given
  return {
    name,
    description,
    version,
    supportedInterfaces: ["JSONRPC", "HTTP+JSON"].map((protocolBinding) => ({ url, protocolBinding, protocolVersion })),
    capabilities: { streaming: true, pushNotifications: pushes, extendedAgentCard: false },
    securitySchemes: { bearer: { httpAuthSecurityScheme: { scheme: "Bearer" } } },
    securityRequirements: [{ schemes: { bearer: { list: [] } } }],
    defaultInputModes: ["text/plain", "application/json", "image/*", "application/pdf"],
    defaultOutputModes: ["text/plain"],
    skills: given.skills ?? [skillOf(name, description)]
  }
})
