import type { Agent } from "@perennial/domain"
import { AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Context, type Effect, type Layer, Schema, type Scope } from "effect"
import { type LanguageModel, Tool, Toolkit } from "effect/ai"
import { describe, expect, it } from "tstyche"

class Board extends Context.Service<Board, { readonly notes: ReadonlyArray<string> }>()(
  "@perennial/runtime/typetest/LlmAgent.tst/Board"
) {}

const Note = Tool.make("note", { success: Schema.String, dependencies: [Board] })
const Tools = Toolkit.make(Note)
const config = { agentId: "a", systemPrompt: "" }

declare const failing: Layer.Layer<LanguageModel.LanguageModel, "no key", Board>

describe("LlmAgent.make", () => {
  it("requires a model, and the handlers and dependencies of its tools", () => {
    expect(LlmAgent.make(config)).type.toBe<Effect.Effect<Agent.Agent<undefined>, never, LanguageModel.LanguageModel>>()
    expect(LlmAgent.make({ ...config, tools: Tools })).type.toBe<
      Effect.Effect<Agent.Agent<undefined>, never, LanguageModel.LanguageModel | Tool.Handler<"note"> | Board>
    >()
  })

  it("requires only a model for an `AgentTools` value", () => {
    expect(LlmAgent.make({ ...config, tools: AgentTools.empty })).type.toBe<
      Effect.Effect<Agent.Agent<undefined>, never, LanguageModel.LanguageModel>
    >()
  })

  it("with a model option, has the errors and requirements of that model", () => {
    expect(LlmAgent.make({ ...config, model: failing })).type.toBe<
      Effect.Effect<Agent.Agent<undefined>, "no key", Board | Scope.Scope>
    >()
  })
})

describe("output", () => {
  it("is the type of the agent's answers", () => {
    const made = LlmAgent.make({ ...config, output: Schema.Struct({ at: Schema.Date }), model: failing })
    expect(made).type.toBe<Effect.Effect<Agent.Agent<{ readonly at: Date }>, "no key", Board | Scope.Scope>>()
    expect<Agent.Output<typeof made>>().type.toBe<{ readonly at: Date }>()
  })
})

describe("fallbacks", () => {
  it("add their errors and requirements to those of the model", () => {
    expect(LlmAgent.make({ ...config, model: ScriptedModel.layer(), fallbacks: [failing] })).type.toBe<
      Effect.Effect<Agent.Agent<undefined>, "no key", Board | Scope.Scope>
    >()
    expect(LlmAgent.make({ ...config, model: failing, fallbacks: [ScriptedModel.layer()] })).type.toBe<
      Effect.Effect<Agent.Agent<undefined>, "no key", Board | Scope.Scope>
    >()
  })

  it("are accepted only with a model option", () => {
    expect(LlmAgent.make).type.not.toBeCallableWith({ ...config, fallbacks: [failing] })
  })
})

describe("LlmAgent.layer", () => {
  it("provides the agents, and requires no scope", () => {
    expect(LlmAgent.layer({ ...config, model: ScriptedModel.layer() })).type.toBe<Layer.Layer<Agent.Agents>>()
    expect(LlmAgent.layer({ ...config, model: failing })).type.toBe<Layer.Layer<Agent.Agents, "no key", Board>>()
    expect(LlmAgent.layer(config)).type.toBe<Layer.Layer<Agent.Agents, never, LanguageModel.LanguageModel>>()
  })
})

describe("AgentTools.fromToolkit", () => {
  it("requires the handlers and dependencies of the tools", () => {
    expect(AgentTools.fromToolkit(Tools)).type.toBe<
      Effect.Effect<AgentTools.AgentTools, never, Tool.Handler<"note"> | Board>
    >()
  })
})
