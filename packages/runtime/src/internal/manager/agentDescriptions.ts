/** Describes the agents of this process to people. */
import { type Agent, AgentDescription, Agents } from "@perennial/domain/Agent"
import { Effect, Schema } from "effect"

const { output: OutputSchema } = AgentDescription.fields

const definitionsPath = "#/$defs/"

/** The name to which a reference points, which is a JSON pointer (RFC 6901) in the fragment of a URI. */
const nameIn = (reference: string): string =>
  decodeURIComponent(reference.slice(definitionsPath.length)).replaceAll("~1", "/").replaceAll("~0", "~")

/** The form of the outputs. A form with a name is written out: protocols want an object at the root. */
const jsonSchemaOf = (output: NonNullable<Agent["output"]>) => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(output)
  const { $ref } = schema
  const root = typeof $ref === "string" ? definitions[nameIn($ref)] : schema
  return { ...root, ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions }) }
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
