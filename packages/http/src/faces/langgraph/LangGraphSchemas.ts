/**
 * What clients of LangGraph post, and what they get.
 *
 * @since 0.1.0
 */
import { AgentId, ConversationId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"

const Fields = Schema.Record(Schema.String, Schema.Json)
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * @since 0.1.0
 * @category models
 */
export const Modes = Schema.Union([Schema.String, Schema.Array(Schema.String)])
const CheckpointFields = Schema.Struct({ checkpoint_id: optional(Schema.String) })

/**
 * What a client posts to create a run. Unknown fields are ignored: the agent has its own configuration.
 *
 * @since 0.1.0
 * @category models
 */
export const RunCreate = Schema.Struct({
  /** The agent. */
  assistant_id: AgentId,
  /** `messages`, of which the last message of the user counts. */
  input: Schema.optionalKey(Schema.Json),
  /** `resume` answers the tool calls that wait. */
  command: optional(Schema.Struct({ resume: Schema.optionalKey(Schema.Json) })),
  metadata: optional(Fields),
  stream_mode: optional(Modes),
  multitask_strategy: optional(Schema.Literals(["reject", "enqueue", "interrupt", "rollback"])),
  if_not_exists: optional(Schema.Literals(["create", "reject"])),
  checkpoint: optional(CheckpointFields),
  checkpoint_id: optional(Schema.String)
}).annotate({ identifier: "LangGraphRunCreate" })

/**
 * @since 0.1.0
 * @category models
 */
export interface RunCreate extends Schema.Schema.Type<typeof RunCreate> {}

/**
 * @since 0.1.0
 * @category models
 */
export const ThreadCreate = Schema.Struct({
  thread_id: optional(ConversationId),
  metadata: optional(Fields)
}).annotate({ identifier: "LangGraphThreadCreate" })

/**
 * @since 0.1.0
 * @category models
 */
export const ThreadPatch = Schema.Struct({ metadata: optional(Fields) }).annotate({
  identifier: "LangGraphThreadPatch"
})

const Status = Schema.Literals(["idle", "busy", "interrupted", "error"])
const page = {
  limit: optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
  offset: optional(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })))
}

/**
 * Which threads a client searches for.
 *
 * @since 0.1.0
 * @category models
 */
export const ThreadSearch = Schema.Struct({
  ...page,
  ids: optional(Schema.Array(ConversationId).check(Schema.isMaxLength(100))),
  status: optional(Status),
  sort_by: optional(Schema.String),
  sort_order: optional(Schema.Literals(["asc", "desc"]))
}).annotate({ identifier: "LangGraphThreadSearch" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ThreadSearch extends Schema.Schema.Type<typeof ThreadSearch> {}

/**
 * @since 0.1.0
 * @category models
 */
export const AssistantSearch = Schema.Struct({
  ...page,
  graph_id: optional(Schema.String),
  name: optional(Schema.String)
}).annotate({ identifier: "LangGraphAssistantSearch" })

// A checkpoint has no field that must be there: it fits every object.
const Before = Schema.Union([Schema.String, Schema.Struct({ configurable: CheckpointFields }), CheckpointFields])

/**
 * @since 0.1.0
 * @category models
 */
export const History = Schema.Struct({ limit: page.limit, before: optional(Before) }).annotate({
  identifier: "LangGraphHistory"
})

/**
 * @since 0.1.0
 * @category models
 */
export const StateAt = Schema.Struct({ checkpoint: CheckpointFields }).annotate({ identifier: "LangGraphStateAt" })

const anything = [Fields] as const
const object = <F extends Schema.Struct.Fields>(identifier: string, fields: F) =>
  Schema.StructWithRest(Schema.Struct(fields), anything).annotate({ identifier })

/**
 * @since 0.1.0
 * @category models
 */
export const Run = object("LangGraphRun", { run_id: Schema.String, thread_id: Schema.String, status: Schema.String })
/**
 * @since 0.1.0
 * @category models
 */
export const Thread = object("LangGraphThread", { thread_id: Schema.String, status: Status })
/**
 * @since 0.1.0
 * @category models
 */
export const State = object("LangGraphState", { next: Schema.Array(Schema.String) })
/**
 * @since 0.1.0
 * @category models
 */
export const Assistant = object("LangGraphAssistant", { assistant_id: Schema.String, graph_id: Schema.String })
/**
 * @since 0.1.0
 * @category models
 */
export const Values = object("LangGraphValues", {})

/**
 * @since 0.1.0
 * @category models
 */
export const Events = HttpApiSchema.StreamSse({
  events: Schema.Struct({
    event: Schema.String,
    data: Schema.fromJsonString(Schema.Json.annotate({
      identifier: "LangGraphEvent",
      description: "The data of an event of a LangGraph run; its form depends on the event."
    }))
  })
})
