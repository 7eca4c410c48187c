/** Reads the results of MCP servers liberally: what is missing or odd in them does not hide what is there. */
import { Option, Predicate, Schema } from "effect"
import { McpSchema } from "effect/ai"

interface Fields {
  readonly [key: string]: unknown
}

const isFields = (value: unknown): value is Fields => Predicate.isReadonlyObject(value) && !Array.isArray(value)

const textOf = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? ""

/** The fields of which the value is a string. */
const strings = (fields: Fields, ...keys: ReadonlyArray<string>): Fields =>
  Object.fromEntries(keys.flatMap((key) => typeof fields[key] === "string" ? [[key, fields[key]]] : []))

/** A server that names no capabilities is asked for its tools; a server that names only others has none. */
const readCapabilities = (capabilities: unknown): Fields =>
  isFields(capabilities) && (capabilities["tools"] ?? undefined) === undefined ? {} : { tools: {} }

/** What revision 2026-07-28 says about caching. It is not used here, but its absence would hide the result. */
const caching = { ttlMs: 0, cacheScope: "private" }

const readDiscovered = (result: Fields): unknown => ({
  ...result,
  ...caching,
  capabilities: readCapabilities(result["capabilities"])
})

const readInitialized = (result: Fields): unknown => {
  const { capabilities, protocolVersion, serverInfo } = result
  const info = isFields(serverInfo) ? serverInfo : {}
  return {
    protocolVersion,
    capabilities: readCapabilities(capabilities),
    serverInfo: { name: "unnamed", version: "unknown", ...strings(info, "name", "version") },
    ...strings(result, "instructions")
  }
}

/** A tool that cannot be offered, and the reason. */
export interface LeftOut {
  readonly name: string
  readonly why: string
}

const hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]

const readAnnotations = (annotations: unknown): Fields =>
  isFields(annotations)
    ? {
      ...strings(annotations, "title"),
      ...Object.fromEntries(
        hints.flatMap((hint) => typeof annotations[hint] === "boolean" ? [[hint, annotations[hint]]] : [])
      )
    }
    : {}

const isTool = Schema.decodeUnknownOption(McpSchema.Tool)

/** A tool with the fields that are used, or the reason why there is none. */
const readTool = (tool: unknown): Fields | LeftOut => {
  if (!isFields(tool) || typeof tool["name"] !== "string" || tool["name"] === "") {
    return { name: "", why: "it has no name" }
  }
  const { annotations, execution, inputSchema, name } = tool
  const schema = inputSchema === undefined || inputSchema === null ? {} : inputSchema
  if (!isFields(schema) || (schema["type"] ?? "object") !== "object") {
    return { name, why: "its `inputSchema` is not the schema of an object" }
  }
  const read = {
    ...strings(tool, "name", "title", "description"),
    inputSchema: { ...schema, type: "object" },
    annotations: readAnnotations(annotations),
    ...(isFields(execution) && typeof execution["taskSupport"] === "string"
      ? { execution: strings(execution, "taskSupport") }
      : {})
  }
  return Option.isSome(isTool(read)) ? read : { name, why: "its definition cannot be read" }
}

const isLeftOut = (tool: Fields | LeftOut): tool is LeftOut => "why" in tool

const readBlock = (block: unknown): string => {
  if (!isFields(block)) return textOf(block)
  const { mimeType, name, resource, text, title, type, uri } = block
  switch (type) {
    case "text":
      return textOf(text ?? "")
    case "resource_link":
      return `${textOf(title ?? name ?? "resource")}: ${textOf(uri)}`
    case "resource":
      if (!isFields(resource)) return "[a resource: not a text]"
      return typeof resource["text"] === "string" ? resource["text"] : `[${textOf(resource["uri"])}: not a text]`
    default:
      return `[${textOf(type ?? "a block")}${typeof mimeType === "string" ? ` of type ${mimeType}` : ""}: not a text]`
  }
}

/** The content of a result as texts: models read nothing else here. */
const readCallResult = (result: unknown): unknown => {
  if (!isFields(result)) return { content: [{ type: "text", text: textOf(result) }] }
  // The client refuses it in its own words.
  if (result["resultType"] === "input_required") return result
  const { content, isError, structuredContent } = result
  const blocks = Array.isArray(content) ? content : content === undefined || content === null ? [] : [content]
  const texts = blocks.map(readBlock)
  // The protocol wants an object here.
  const structured = isFields(structuredContent) ? { structuredContent } : {}
  if (structuredContent !== undefined && structuredContent !== null && !isFields(structuredContent)) {
    texts.push(textOf(structuredContent))
  }
  return {
    ...strings(result, "resultType"),
    content: texts.map((text) => ({ type: "text", text })),
    ...structured,
    ...(isError === true || isError === "true" ? { isError: true } : {})
  }
}

export interface ReadResult {
  readonly result: unknown
  readonly leftOut: ReadonlyArray<LeftOut>
}

/** The result of a request by this method. */
export const readResult = (method: string, result: unknown): ReadResult => {
  if (method === "tools/call") return { result: readCallResult(result), leftOut: [] }
  if (method === "initialize" && isFields(result)) return { result: readInitialized(result), leftOut: [] }
  if (method === "server/discover" && isFields(result)) return { result: readDiscovered(result), leftOut: [] }
  if (method !== "tools/list" || !isFields(result) || !Array.isArray(result["tools"])) return { result, leftOut: [] }
  const all = result["tools"].map(readTool)
  const cursor = result["nextCursor"]
  return {
    result: {
      ...caching,
      ...strings(result, "resultType"),
      tools: all.filter((tool) => !isLeftOut(tool)),
      // Some servers write null or an empty text after the last page.
      ...(typeof cursor === "string" && cursor !== "" ? { nextCursor: cursor } : {})
    },
    leftOut: all.filter(isLeftOut)
  }
}
