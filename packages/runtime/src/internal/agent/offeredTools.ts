/** The tools that a model is told about. A tool whose definition cannot be written would make every request fail. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import { Effect, Result } from "effect"
import { Tool } from "effect/ai"
import type { AgentTools } from "../../AgentTools.ts"
import { estimateTextTokens } from "../history/tokens.ts"

interface Definition {
  /** Why the tool is not offered. */
  readonly problem?: string
  /** The estimated tokens of the definition in a prompt. */
  readonly tokens: number
}

const definitions = new WeakMap<Tool.Any, Definition>()

const define = (tool: Tool.Any): Definition => {
  const written = Result.try(() => {
    const schema = Tool.getJsonSchema(tool)
    return ContentBounds.isTooDeep(schema) ? undefined : JSON.stringify([tool.name, Tool.getDescription(tool), schema])
  })
  if (Result.isFailure(written)) return { problem: "its parameters have no JSON schema", tokens: 0 }
  if (written.success !== undefined) return { tokens: estimateTextTokens(written.success) }
  return { problem: `the schema of its parameters is nested deeper than ${ContentBounds.maxDepth} levels`, tokens: 0 }
}

const definitionOf = (tool: Tool.Any): Definition => {
  const known = definitions.get(tool) ?? define(tool)
  definitions.set(tool, known)
  return known
}

const maxReported = 1_000

export class OfferedTools {
  readonly #all: AgentTools
  /** The tools that were left out. Each is logged once. */
  readonly #reported = new Set<string>()

  constructor(all: AgentTools) {
    this.#all = all
  }

  get tools(): Readonly<Record<string, Tool.Any>> {
    return Object.fromEntries(
      Object.entries(this.#all.tools).filter(([, tool]) => definitionOf(tool).problem === undefined)
    )
  }

  /** The estimated tokens of all definitions. */
  get tokens(): number {
    let tokens = 0
    for (const tool of Object.values(this.#all.tools)) tokens += definitionOf(tool).tokens
    return tokens
  }

  /** Logs which tools are left out, each once. */
  readonly report: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(Object.entries(this.#all.tools), ([name, tool]) => {
      const { problem } = definitionOf(tool)
      if (problem === undefined || this.#reported.has(name)) return Effect.void
      if (this.#reported.size < maxReported) this.#reported.add(name)
      return Effect.logWarning(`The tool "${name}" is left out: ${problem}.`)
    }, { discard: true })
  )
}
