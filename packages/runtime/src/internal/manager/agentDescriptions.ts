/** Describes the agents of this process to people. */
import { type Agent, AgentDescription, Agents } from "@perennial/domain/Agent"
import { Effect, Schema } from "effect"

const { output: OutputSchema } = AgentDescription.fields

/** The form of the outputs. A form with a name is written out: protocols want an object at the root. */
const jsonSchemaOf = (output: NonNullable<Agent["output"]>) => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(output)
  const named = definitions[String(schema["$ref"]).replace("#/$defs/", "")]
  return { ...(named ?? schema), ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions }) }
}

const describeOutput = ({ output }: Agent): Pick<AgentDescription, "output"> =>
  // A JSON schema is JSON.
  output === undefined ? {} : { output: Schema.decodeUnknownSync(OutputSchema.schema)(jsonSchemaOf(output)) }

const describeAgent = (agent: Agent): Effect.Effect<AgentDescription> => {
  const { agentId: id, describe = Effect.succeed({ tools: [] }) } = agent
  return Effect.map(describe, (described) => ({ id, ...described, ...describeOutput(agent) }))
}

export const makeAgentDescriptions = Effect.map(Agents, ({ get, ids }) =>
  Effect.forEach(ids, (id) =>
    get(id).pipe(
      // The agent is registered under the id.
      Effect.orDie,
      Effect.flatMap(describeAgent)
    )).pipe(Effect.withSpan("TaskManager.agents")))
