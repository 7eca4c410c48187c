/** Describes the agents of this process to people. */
import { type AgentDescription, Agents } from "@perennial/domain/Agent"
import { Effect } from "effect"

export const makeAgentDescriptions = Effect.map(Agents, ({ get, ids }) =>
  Effect.forEach(ids, (id) =>
    get(id).pipe(
      // The agent is registered under the id.
      Effect.orDie,
      Effect.flatMap(({ describe = Effect.succeed({ tools: [] }) }) => describe),
      Effect.map((described): AgentDescription => ({ id, ...described }))
    )).pipe(Effect.withSpan("TaskManager.agents")))
