/**
 * The agents of a process that executes tasks: those of a module of the application, or one built-in assistant.
 */
import { Agents, make } from "@perennial/domain/Agent"
import { Effect, type FileSystem, Layer, Option, Path, Predicate } from "effect"
import { type Failure, toFailure, usage, whyTransport, withFailure } from "./failure.ts"
import { load } from "./packages.ts"

/** An agent without tasks: the process reads, cancels and decides, and executes nothing. */
export const layerNone: Layer.Layer<Agents> = Agents.layer([
  make("perennial command line", () => Effect.die(new Error("The command line executes no tasks.")))
])

const loadSetting = load("@perennial/runtime", () => import("@perennial/runtime/ModelSetting"))

/** A sentence for the person who serves, if no language model answers. */
export const notice: Effect.Effect<Option.Option<string>, Failure> = Effect.flatMap(
  loadSetting,
  (ModelSetting) => Effect.mapBoth(ModelSetting.load, { onSuccess: ModelSetting.notice, onFailure: toFailure })
)

/** The assistant of `perennial serve` and of `perennial start --store`, with the model of `PERENNIAL_MODEL`. */
const layerAssistant = withFailure(Layer.unwrap(Effect.gen(function*() {
  const LlmAgent = yield* load("@perennial/runtime", () => import("@perennial/runtime/LlmAgent"))
  const ModelSetting = yield* loadSetting
  const { titles: _, ...models } = ModelSetting.models(yield* ModelSetting.load)
  return LlmAgent.layer({ agentId: "assistant", systemPrompt: "You are a helpful assistant.", ...models })
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
export const layer = (module: Option.Option<string>): Layer.Layer<Agents, Failure, FileSystem.FileSystem | Path.Path> =>
  Option.match(module, { onNone: () => layerAssistant, onSome: layerModule })
