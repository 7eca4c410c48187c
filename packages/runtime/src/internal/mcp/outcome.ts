/** What a model is told about a call of an MCP server. */
import type { Schema } from "effect"
import type { McpClientError, McpSchema } from "effect/ai"
import type { ToolOutcome } from "../../AgentTools.ts"

type Failure = McpClientError.McpClientError

/** The texts of a result. `readResult` has made all its content texts. */
const textOf = ({ content }: McpSchema.CallToolResult): string =>
  content.map((block) => block.type === "text" ? block.text : "").join("\n")

export const toOutcome = (result: McpSchema.CallToolResult): ToolOutcome => {
  const text = textOf(result)
  // It came as JSON.
  const structured = result.structuredContent as Schema.Json | undefined
  // The text of an error says what is wrong. The structured content of a success is the same as its text, or more.
  return result.isError === true
    ? { status: "error", result: text.trim() === "" ? structured ?? "The tool failed without a message." : text }
    : { status: "completed", result: structured ?? text }
}

/** The server has refused the request before it did anything. */
const isRefusal = ({ reason }: Failure): boolean => {
  switch (reason._tag) {
    case "HttpError":
      return reason.status >= 400 && reason.status < 500 && reason.status !== 408
    // An error with a code is the answer of the server. The others are about a message that could not be read.
    case "ProtocolError":
      return reason.code !== undefined
    case "ConfigurationError":
    case "UnsupportedError":
      return true
    default:
      return false
  }
}

/** How a call failed that has no result. */
export const describeFailure = (error: Failure): string =>
  isRefusal(error) ? error.message : `${error.message}. Whether it was executed is not known.`

/**
 * The server does not know the session, so it has refused the request. The protocol wants 404 then; servers also answer 400,
 * or with an error in JSON-RPC.
 */
export const isSessionLost = ({ reason }: Failure): boolean => {
  switch (reason._tag) {
    case "ClosedError":
      return reason.sessionExpired === true
    case "HttpError":
      return reason.status === 400 && isAboutSession(reason.description ?? "session")
    case "ProtocolError":
      return reason.code !== undefined && isAboutSession(reason.description ?? "")
    default:
      return false
  }
}

const isAboutSession = (description: string): boolean => /\bsession|not initiali[sz]ed/i.test(description)
