/**
 * The faces by their names, for a setting that says which of them a server mounts. A face that is not mounted is not loaded.
 *
 * @since 0.1.0
 */
import { Array as Arr, Effect, Option, Record } from "effect"
import type { Face } from "./Face.ts"

/** In the order of `docs/faces/README.md`. */
const modules = {
  "ai-sdk": () => import("./faces/ai-sdk/AiSdk.ts"),
  openai: () => import("./faces/openai/OpenAi.ts"),
  "ag-ui": () => import("./faces/ag-ui/AgUi.ts"),
  a2a: () => import("./faces/a2a/A2a.ts"),
  langgraph: () => import("./faces/langgraph/LangGraph.ts"),
  mcp: () => import("./faces/mcp/Mcp.ts")
} satisfies { readonly [name: string]: () => Promise<{ readonly face: Face }> }

/**
 * @since 0.1.0
 * @category models
 */
export type Name = keyof typeof modules

/**
 * The names of all faces.
 *
 * @since 0.1.0
 * @category constants
 */
export const names: ReadonlyArray<Name> = Record.keys(modules)

/**
 * What `parse` accepts, for people.
 *
 * @since 0.1.0
 * @category constants
 */
export const accepted = `all, none, or names separated by commas: ${names.join(", ")}`

/**
 * Reads the value of a setting: `all`, `none`, or names that are separated by commas.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import * as Faces from "@perennial/http/Faces"
 * import { Option } from "effect"
 *
 * Faces.parse("openai, ag-ui") // => Option.some(["openai", "ag-ui"])
 * Faces.parse("none") // => Option.some([])
 * Faces.parse("gopher") // => Option.none()
 * ```
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (value: string): Option.Option<ReadonlyArray<Name>> => {
  if (value === "all") return Option.some(names)
  if (value === "none") return Option.some([])
  const given = value.split(",").map((name) => name.trim())
  return Option.map(
    Option.all(given.map((name) => Arr.findFirst(names, (known) => known === name))),
    Arr.dedupe
  )
}

/**
 * Loads faces, for `faces` of `Server.layerRoutes`.
 *
 * **Details** The modules are parts of this package: a module that cannot be loaded is a defect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (wanted: ReadonlyArray<Name>): Effect.Effect<ReadonlyArray<Face>> =>
  // oxlint-disable-next-line perennial/no-escapes -- a simulation has no faces
  Effect.forEach(wanted, (name) => Effect.map(Effect.promise(() => modules[name]()), ({ face }) => face))
