/**
 * The agents of a process that executes tasks: those of a module of the application, or one built-in assistant.
 */
import { Agents, make } from "@perennial/domain/Agent"
import { Config, Effect, Layer, Option, Path, Predicate, Redacted } from "effect"
import { type Failure, usage, whyTransport, withFailure } from "./failure.ts"
import { load } from "./packages.ts"

/** An agent without tasks: the process reads, cancels and decides, and executes nothing. */
export const layerNone: Layer.Layer<Agents> = Agents.layer([
  make("perennial command line", () => Effect.die(new Error("The command line executes no tasks.")))
])

const apiKey = Effect.map(
  Effect.orDie(Config.withDefault(Config.Redacted("ANTHROPIC_API_KEY"), Redacted.make(""))),
  (key) => Redacted.value(key).trim()
)

/** Whether the built-in assistant is the scripted demo. */
export const isDemo: Effect.Effect<boolean> = Effect.map(apiKey, (key) => key === "")

/** Claude if there is a key, else the scripted demo. `perennial serve` and `perennial start --store` have the same agent. */
const layerAssistant = withFailure(Layer.unwrap(Effect.gen(function*() {
  const LlmAgent = yield* load("@perennial/runtime", () => import("@perennial/runtime/LlmAgent"))
  const assistant = { agentId: "assistant", systemPrompt: "You are a helpful assistant." }
  if (yield* isDemo) {
    const demo = yield* load("@perennial/runtime", () => import("@perennial/runtime/DemoModel"))
    return LlmAgent.layer({ ...assistant, model: demo.layer })
  }
  const anthropic = yield* load("@anthropic-ai/sdk", () => import("@perennial/runtime/AnthropicModel"))
  return LlmAgent.layer({ ...assistant, model: anthropic.layerConfig() })
})))

/** What a layer provides is not known at run time. If there are no agents, the runtime names the service that is missing. */
const isLayerOfAgents = (value: unknown): value is Layer.Layer<Agents, { readonly message: string }> =>
  Layer.isLayer(value)

/** The agents that a module exports. */
const layerModule = (file: string) =>
  withFailure(Layer.unwrap(Effect.gen(function*() {
    const path = yield* Path.Path
    const url = yield* Effect.orDie(path.toFileUrl(path.resolve(file)))
    const module: unknown = yield* Effect.tryPromise({
      try: () => import(url.href),
      catch: (error) => usage(`The module ${file} cannot be loaded: ${whyTransport(error)}.`)
    })
    const layer = Predicate.hasProperty(module, "default") ? module.default : undefined
    if (!isLayerOfAgents(layer)) {
      return yield* usage(
        `The module ${file} has no agents: its default export must be a Layer of Agents, such as LlmAgent.layer({ ... }).`
      )
    }
    return layer
  })))

/** The agents of the module, or the built-in assistant. */
export const layer = (module: Option.Option<string>): Layer.Layer<Agents, Failure, Path.Path> =>
  Option.match(module, { onNone: () => layerAssistant, onSome: layerModule })
