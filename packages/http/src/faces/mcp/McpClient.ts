/**
 * What a client of MCP says of itself: its revision of the protocol, and what it can do.
 *
 * Up to revision 2025-11-25 a client says so once, in `initialize`. The face has no sessions: the answer has an `Mcp-Session-Id` that
 * holds what is needed, and the client sends the id with each request. From revision 2026-07-28 on each request says it.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { ClientMessage } from "./McpApi.ts"
import type { Head, Json } from "./McpCall.ts"

/**
 * The revisions that the face speaks, newest first. The first one has no handshake.
 *
 * @since 0.1.0
 * @category constants
 */
export const versions = ["2026-07-28", "2025-11-25", "2025-06-18"] as const

const [modern, latest, ...older] = versions
const withHandshake: ReadonlySet<string> = new Set([latest, ...older])

/**
 * The name of the extension for tasks of revision 2026-07-28.
 *
 * @since 0.1.0
 * @category constants
 */
export const tasksExtension = "io.modelcontextprotocol/tasks"

const meta = {
  version: "io.modelcontextprotocol/protocolVersion",
  capabilities: "io.modelcontextprotocol/clientCapabilities"
}

/**
 * A client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly version: string
  readonly modern: boolean
  readonly asks: Head["asks"]
  /** Whether a call may be answered with a task (revision 2026-07-28). */
  readonly tasks: boolean
  /** Names the connection of a client with a handshake. */
  readonly session: string | undefined
}

const Form = Schema.Struct({ form: Schema.Unknown })
const Elicitation = Schema.Struct({ elicitation: Schema.Record(Schema.String, Schema.Unknown) })
const decodeElicitation = Schema.decodeUnknownOption(Elicitation)
const Extensions = Schema.Struct({ extensions: Schema.Struct({ [tasksExtension]: Schema.Struct({}) }) })
const hasTasks = Schema.is(Extensions)
const hasForm = Schema.is(Form)

/** A client that can show a form. `{}` is a form, too. */
const canAsk = (capabilities: unknown): boolean => {
  const decoded = decodeElicitation(capabilities)
  if (decoded._tag === "None") return false
  const { elicitation } = decoded.value
  return Object.keys(elicitation).length === 0 || hasForm(elicitation)
}

/**
 * The value of `_meta` of a message.
 *
 * @since 0.1.0
 * @category accessors
 */
export const metaOf = ({ params }: ClientMessage): { readonly [key: string]: Json | undefined } => {
  const found = params?.["_meta"]
  return typeof found === "object" && found !== null && !Array.isArray(found) ? Object(found) : {}
}

/**
 * Whether a message is that of a client without a handshake.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isModern = (message: ClientMessage): boolean => metaOf(message)[meta.version] !== undefined

/**
 * The id of the session of a client. `name` is a new name.
 *
 * @since 0.1.0
 * @category encoding
 */
export const sessionId = (name: string, capabilities: unknown): string =>
  `${name}.${canAsk(capabilities) ? "form" : "none"}`

/**
 * The revision for a client with a handshake: the one that it asks for, or the newest one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const agree = (asked: Json | undefined): string =>
  typeof asked === "string" && withHandshake.has(asked) ? asked : latest

/**
 * Who sends a message. Undefined: the revision is not one that the face speaks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientOf = (
  message: ClientMessage,
  headers: { readonly "mcp-session-id"?: string; readonly "mcp-protocol-version"?: string }
): Client | undefined => {
  const given = metaOf(message)
  const version = given[meta.version] ?? headers["mcp-protocol-version"] ?? latest
  if (isModern(message)) {
    const capabilities = given[meta.capabilities]
    return version !== modern ? undefined : {
      version,
      modern: true,
      asks: canAsk(capabilities) ? "result" : "never",
      tasks: hasTasks(capabilities),
      session: undefined
    }
  }
  if (typeof version !== "string" || !withHandshake.has(version)) return undefined
  const session = headers["mcp-session-id"]
  const asks = session?.endsWith(".form") === true ? "request" : "never"
  return { version, modern: false, asks, tasks: false, session }
}
