/**
 * Reads the messages of MCP servers liberally. The client of `effect/ai` accepts only what the protocol names; real servers add
 * fields, leave fields out, send several messages at once, and write other lines to their standard output.
 */
import { Predicate, Result, type Schema } from "effect"

interface Fields {
  readonly [key: string]: unknown
}

const isFields = (value: unknown): value is Fields => Predicate.isReadonlyObject(value) && !Array.isArray(value)

const isId = (value: unknown): boolean => typeof value === "string" || typeof value === "number"

/** JSON-RPC 2.0: internal error. */
const internalError = -32_603

const toError = (error: unknown): Schema.Json => {
  const { code, data, message } = isFields(error) ? error : { message: error }
  return {
    code: typeof code === "number" && Number.isSafeInteger(code) ? code : internalError,
    message: typeof message === "string" ? message : "The server gave no reason",
    // It came as JSON.
    ...(data === undefined ? {} : { data: data as Schema.Json })
  }
}

export interface ReadMessage {
  /** The message with the fields of the protocol only. */
  readonly text: string
  /** A request or notification of the server; the answer to a request; or an error that belongs to no request. */
  readonly kind: "call" | "answer" | "stray"
}

const toMessage = (json: unknown): ReadonlyArray<ReadMessage> => {
  if (!isFields(json)) return []
  const { error, id, method, params, result } = json
  const envelope = { jsonrpc: "2.0", ...(isId(id) ? { id } : {}) }
  if (typeof method === "string") {
    return [{ text: JSON.stringify({ ...envelope, method, ...(isFields(params) ? { params } : {}) }), kind: "call" }]
  }
  if (error !== undefined && error !== null) {
    return [{ text: JSON.stringify({ ...envelope, error: toError(error) }), kind: isId(id) ? "answer" : "stray" }]
  }
  return isId(id) && result !== undefined
    ? [{ text: JSON.stringify({ ...envelope, result }), kind: "answer" }]
    : []
}

/** The messages in a text; nothing if the text has none. */
export const readMessages = (text: string): ReadonlyArray<ReadMessage> =>
  Result.getOrElse(
    Result.try(() => {
      const json: unknown = JSON.parse(text)
      return (Array.isArray(json) ? json : [json]).flatMap(toMessage)
    }),
    () => []
  )
