/**
 * What the A2A face answers, as far as the OpenAPI document says it. Objects of A2A may have more fields.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"

const anything = [Schema.Record(Schema.String, Schema.Json)] as const

/**
 * @since 0.1.0
 * @category models
 */
export const AgentCard = Schema.StructWithRest(
  Schema.Struct({ name: Schema.String, description: Schema.String, version: Schema.String }),
  anything
).annotate({ identifier: "A2aAgentCard", description: "An agent card of A2A 1.0." })

/**
 * @since 0.1.0
 * @category models
 */
export const TaskObject = Schema.StructWithRest(
  Schema.Struct({ id: Schema.String, contextId: Schema.String }),
  anything
)
  .annotate({ identifier: "A2aTask", description: "A task of A2A 1.0." })

/**
 * @since 0.1.0
 * @category models
 */
export const Sent = Schema.Struct({ task: TaskObject }).annotate({ identifier: "A2aSendMessageResponse" })

/**
 * @since 0.1.0
 * @category models
 */
export const Page = Schema.Struct({
  tasks: Schema.Array(TaskObject),
  nextPageToken: Schema.String,
  pageSize: Schema.Natural,
  totalSize: Schema.Natural
}).annotate({ identifier: "A2aListTasksResponse" })

/**
 * @since 0.1.0
 * @category models
 */
export const StreamResponse = Schema.Record(Schema.String, Schema.Json).annotate({
  identifier: "A2aStreamResponse",
  description: "`task`, `statusUpdate` or `artifactUpdate` of A2A 1.0."
})

/**
 * An event stream of such data.
 *
 * @since 0.1.0
 * @category constructors
 */
export const events = <S extends Schema.Codec<unknown, unknown>>(data: S) =>
  HttpApiSchema.StreamSse({ events: Schema.Struct({ event: Schema.String, data: Schema.fromJsonString(data) }) })

/**
 * @since 0.1.0
 * @category models
 */
export const RpcResponse = Schema.StructWithRest(Schema.Struct({ jsonrpc: Schema.Literal("2.0") }), anything).annotate({
  identifier: "A2aRpcResponse",
  description: "A response of JSON-RPC 2.0, with `result` or `error`."
})

/**
 * @since 0.1.0
 * @category models
 */
export const Config = Schema.Struct({ id: Schema.String, taskId: Schema.String, url: Schema.String }).annotate({
  identifier: "A2aStoredPushNotificationConfig"
})
