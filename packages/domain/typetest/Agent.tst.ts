import { Agent } from "@perennial/domain"
import type { AgentNotFound } from "@perennial/domain/TaskError"
import { Context, Effect, type Layer, Schema } from "effect"
import { describe, expect, it } from "tstyche"

class Model extends Context.Service<Model, { readonly ask: Effect.Effect<string> }>()("Model") {}

declare const agent: Agent.Agent

describe("Agents", () => {
  it("get has one typed error and no requirements", () => {
    expect<ReturnType<Agent.Agents["Service"]["get"]>>().type.toBe<Effect.Effect<Agent.Agent, AgentNotFound>>()
  })

  it("layer needs at least one agent", () => {
    expect(Agent.Agents.layer([agent])).type.toBe<Layer.Layer<Agent.Agents>>()
    expect(Agent.Agents.layer).type.not.toBeCallableWith([])
  })

  it("layerEffect has the errors and requirements of the effects that make the agents", () => {
    const made = Effect.as(Model, agent)
    const failing = Effect.fail("no key" as const)
    expect(Agent.Agents.layerEffect([made, failing])).type.toBe<Layer.Layer<Agent.Agents, "no key", Model>>()
  })
})

describe("Agent.Output", () => {
  const output = Schema.Struct({ at: Schema.Date, note: Schema.optionalKey(Schema.String) })
  type Answer = { readonly at: Date; readonly note?: string }

  it("is the type of the schema, for an agent, an effect that makes one, and a configuration", () => {
    expect<Agent.Output<{ agentId: "a"; output: typeof output }>>().type.toBe<Answer>()
    expect<Agent.Output<Agent.Agent<Answer>>>().type.toBe<Answer>()
    expect<Agent.Output<Effect.Effect<Agent.Agent<Answer>, "no key", Model>>>().type.toBe<Answer>()
  })

  it("is undefined without a schema", () => {
    expect<Agent.Output<Agent.Agent<undefined>>>().type.toBe<undefined>()
    expect<Agent.Output<{ agentId: "a" }>>().type.toBe<undefined>()
  })
})

describe("Agent.run", () => {
  it("has no requirements, and fails only with AgentError", () => {
    expect<ReturnType<Agent.Agent["run"]>>().type.toBe<Effect.Effect<Agent.AgentResult, Agent.AgentError>>()
  })

  it("emit accepts no event that the runtime writes itself", () => {
    expect<Agent.Emit>().type.toBeCallableWith([{ type: "text", content: "hi" }])
    expect<Agent.Emit>().type.not.toBeCallableWith([{ type: "cancelled" }])
    expect<Agent.Emit>().type.not.toBeCallableWith([])
  })
})
