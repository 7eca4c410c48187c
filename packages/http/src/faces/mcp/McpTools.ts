/**
 * Agents as tools of MCP, and what a client gives to call them.
 *
 * @since 0.1.0
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import type { Decision } from "@perennial/domain/Decision"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import type { Json } from "./McpCall.ts"
import type { Client } from "./McpClient.ts"

/** A name that every client and every model accepts. */
const nameOf = (id: string): string => id.replace(/[^\w.-]/g, "_").slice(0, 128)

/**
 * The agent of a tool, if there is one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const agentOf = (agents: ReadonlyArray<AgentDescription>, name: Json | undefined) =>
  agents.find(({ id }) => nameOf(id) === name)

const inputSchema = {
  type: "object",
  properties: {
    message: { type: "string", description: "What the agent shall do or answer." },
    conversationId: {
      type: "string",
      description:
        "A name of your choice. Calls with the same name are one conversation: the agent remembers the earlier calls."
    },
    taskId: {
      type: "string",
      description: "Instead of a message: the id of an earlier call that waited for a person. The result is its answer."
    }
  }
}

/** MCP knows no other forms than those of objects. */
const outputSchemaOf = ({ output }: AgentDescription) => output?.["type"] === "object" ? { outputSchema: output } : {}

const describe = ({ id, tools }: AgentDescription): string => {
  const names = tools.map(({ name }) => name).join(", ")
  return `Asks the agent ${id}, and answers with its text.${names === "" ? "" : ` The agent has the tools ${names}.`}`
}

/**
 * The tools of a server.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toTools = (agents: ReadonlyArray<AgentDescription>, { version }: Client): ReadonlyArray<Json> =>
  agents.map((agent) => ({
    name: nameOf(agent.id),
    description: describe(agent),
    inputSchema,
    ...outputSchemaOf(agent),
    ...(version === "2025-11-25" ? { execution: { taskSupport: "optional" } } : {})
  }))

/**
 * What the agent shall answer.
 *
 * @since 0.1.0
 * @category models
 */
export const Message = Schema.Struct({
  message: Schema.String,
  conversationId: Schema.optionalKey(ConversationId)
})

/**
 * The arguments of a call: what the agent shall answer, or an earlier call.
 *
 * @since 0.1.0
 * @category models
 */
export const Arguments = Schema.Union([Schema.Struct({ taskId: TaskId }), Message])

/**
 * What a client answers to a question.
 *
 * @since 0.1.0
 * @category models
 */
export const Answer = Schema.Struct({
  action: Schema.Literals(["accept", "decline", "cancel"]),
  content: Schema.optionalKey(Schema.NullOr(Schema.Struct({
    approve: Schema.optionalKey(Schema.Boolean),
    reason: Schema.optionalKey(Schema.String)
  })))
})

/**
 * The decision that an answer is.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decisionOf = ({ action, content }: typeof Answer.Type): Decision => {
  if (action === "accept" && content?.approve !== false) return { approved: true }
  const reason = action === "cancel" ? "The question was closed without an answer." : content?.reason
  return { approved: false, ...(reason === undefined || reason === "" ? {} : { reason }) }
}
