/** Tools as the Messages API takes them. A tool that would make the API refuse every request is left out. */
import type Anthropic from "@anthropic-ai/sdk"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import { Predicate, Result, type Schema } from "effect"
import { type LanguageModel, Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"

const toTool = (tool: Tool.Any): Anthropic.Tool => {
  const strict = Tool.getStrictMode(tool) === true
  const description = Tool.getDescription(tool)
  const schema = Tool.getJsonSchema(tool, strict ? { transformer: toCodecAnthropic } : {})
  return {
    name: tool.name,
    ...(description === undefined ? {} : { description: ContentBounds.wellFormed(description) }),
    input_schema: {
      ...ContentBounds.wellFormedFields(schema as { readonly [key: string]: Schema.Json }),
      type: "object"
    },
    ...(strict ? { strict } : {})
  }
}

/** A tool that is left out, and the reason. */
export interface LeftOut {
  readonly name: string
  readonly why: string
}

const isPropertyName = (name: string): boolean => /^[a-zA-Z0-9_.-]{1,64}$/.test(name)

/** A property of a JSON schema, at any depth, whose name the API does not accept. */
const oddProperty = (schema: unknown): string | undefined => {
  if (typeof schema !== "object" || schema === null) return undefined
  for (const [key, value] of Object.entries(schema)) {
    const odd = key === "properties" && typeof value === "object" && value !== null
      ? Object.keys(value).find((name) => !isPropertyName(name)) ??
        Object.values(value).map(oddProperty).find(Predicate.isNotUndefined)
      : oddProperty(value)
    if (odd !== undefined) return odd
  }
  return undefined
}

const problemOf = ({ input_schema: schema, name }: Anthropic.Tool): string | undefined => {
  if (!/^[a-zA-Z0-9_-]{1,128}$/.test(name)) return "its name is not of 1 to 128 letters, digits, \"_\" and \"-\""
  const key = ["oneOf", "anyOf", "allOf"].find((key) => key in schema)
  if (key !== undefined) return `its parameters have "${key}" at the root, not the fields of one object`
  const property = oddProperty(schema)
  return property === undefined
    ? undefined
    : `its parameter ${JSON.stringify(property)} is not of 1 to 64 letters, digits, "_", "." and "-"`
}

export interface SentTools {
  /** The tools of the agent, and then those that the API executes itself. */
  readonly tools: ReadonlyArray<Anthropic.ToolUnion & { readonly name: string }>
  /** The tools of the agent that were sent, in the order in which they are sent. */
  readonly sent: ReadonlyArray<Tool.Any>
  readonly leftOut: ReadonlyArray<LeftOut>
}

/** `refused` are tools that the API has refused before, and what it said. */
export const toTools = (
  all: ReadonlyArray<Tool.Any>,
  refused: WeakMap<Tool.Any, string>,
  serverTools: ReadonlyArray<Anthropic.ToolUnion> = []
): SentTools => {
  const named = serverTools.filter((tool) => "name" in tool)
  const tools = new Map<string, readonly [wire: Anthropic.Tool, tool: Tool.Any]>()
  const leftOut: Array<LeftOut> = []
  for (const tool of all) {
    const { name } = tool
    const wire = Result.try(() => toTool(tool))
    const why = refused.get(tool) ??
      (Result.isFailure(wire) ? "its parameters have no JSON schema" : problemOf(wire.success)) ??
      (tools.has(name) || named.some((other) => other.name === name) ? "another one has the same name" : undefined)
    if (why === undefined && Result.isSuccess(wire)) tools.set(name, [wire.success, tool])
    else if (why !== undefined) leftOut.push({ name, why })
  }
  const accepted = [...tools.values()]
  return { tools: [...accepted.map(([wire]) => wire), ...named], sent: accepted.map(([, tool]) => tool), leftOut }
}

export const toToolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]): Anthropic.ToolChoice => {
  if (choice === "none") return { type: "none" }
  if (choice === "auto") return { type: "auto" }
  if (choice === "required") return { type: "any" }
  if ("tool" in choice) return { type: "tool", name: choice.tool }
  return { type: choice.mode === "required" ? "any" : "auto" }
}
