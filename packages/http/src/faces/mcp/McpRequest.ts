/**
 * A request of a client of MCP, and what it is answered with.
 *
 * @since 0.1.0
 */
import type { Task } from "@perennial/domain/Task"
import { Schema } from "effect"
import type { ClientMessage, RequestId } from "./McpApi.ts"
import type * as McpCall from "./McpCall.ts"
import * as McpClient from "./McpClient.ts"

/**
 * The answer of a method: its result, with a new session or not, or the messages of a call.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | { readonly _tag: "Result"; readonly result: McpCall.JsonObject; readonly session?: string | undefined }
  | { readonly _tag: "Messages"; readonly head: McpCall.Head }

/**
 * An error of JSON-RPC.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  code: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/**
 * The parameters of the request are not those of its method.
 *
 * @since 0.1.0
 * @category errors
 */
export const invalidParams = (detail: string) => new Refused({ code: -32_602, detail })

/**
 * A request of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly client: McpClient.Client
  readonly message: ClientMessage & { readonly id: RequestId }
  readonly params: McpCall.JsonObject
}

/**
 * A result without a session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const result = (result: McpCall.JsonObject): Reply => ({ _tag: "Result", result })

const isToken = Schema.is(Schema.Union([Schema.String, Schema.Finite]))

/**
 * The messages that answer a call, but for what the log has up to the seq `after`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const headOf = ({ client, message }: Call, task: Task, after: number): McpCall.Head => {
  const { progressToken } = McpClient.metaOf(message)
  return {
    id: message.id,
    taskId: task.id,
    after,
    ...(isToken(progressToken) ? { progressToken } : {}),
    asks: client.asks,
    modern: client.modern,
    ofTask: false,
    primed: client.version >= "2025-11-25"
  }
}

/**
 * The seq up to which a new call says nothing again. A question that waits is asked again.
 *
 * @since 0.1.0
 * @category accessors
 */
export const saidBefore = ({ lastSeq, waiting = [] }: Task): number =>
  waiting.length === 0 ? lastSeq : Math.max(...waiting.map(({ seq }) => seq)) - 1
