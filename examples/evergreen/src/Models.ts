/**
 * The language model of the agent: Claude, the answers of a file, or a demo that needs no key.
 */
import { NodeServices } from "@effect/platform-node"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as DemoModel from "@perennial/runtime/DemoModel"
import * as ModelScript from "@perennial/runtime/ModelScript"
import { Effect, FileSystem, Layer, Option } from "effect"
import type { ServerConfig } from "./ServerConfig.ts"

const scripted = (path: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    return ModelScript.layer(yield* files.readFileString(path))
  })).pipe(Layer.provide(NodeServices.layer))

/** The options of the agent that are about its model. */
export const of = ({ apiKey, baseUrl, fallbacks, name, script }: ServerConfig["model"]) => {
  if (Option.isSome(script)) return { model: scripted(script.value) }
  if (Option.isNone(apiKey)) return { model: DemoModel.layer, titles: DemoModel.titles }
  const options = { apiKey: apiKey.value, baseUrl: Option.getOrUndefined(baseUrl) }
  const claude = (model: string) => AnthropicModel.layer({ ...options, model })
  return { model: claude(name), fallbacks: fallbacks.map(claude) }
}

/** A sentence for the person who starts the server, if no language model answers. */
export const notice = ({ apiKey, script }: ServerConfig["model"]): Option.Option<string> => {
  if (Option.isSome(script)) return Option.some(`The script ${script.value} answers instead of a language model.`)
  return Option.isNone(apiKey)
    ? Option.some("ANTHROPIC_API_KEY is not set: a scripted demo answers instead of a language model.")
    : Option.none()
}
