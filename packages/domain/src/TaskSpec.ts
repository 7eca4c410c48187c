/**
 * The part of a task that a store only carries: it stores the value, returns it with the task, and never filters by it.
 *
 * A store keeps a spec as one text. A new option of `start` is a field here, and code that uses the field: no store
 * changes.
 *
 * @since 0.1.0
 */
import { Option, Schema, Struct } from "effect"
import { MessageId } from "./Ids.ts"
import { Metadata, TaskParent } from "./Task.ts"

/** Fields that every reader of a task sees: they stay as long as the task. */
const shown = {
  /** Free-form data of the application about the task. */
  metadata: Schema.optionalKey(Metadata),
  /** The user's message that the task's own message replaces: it leaves the conversation when the task begins. */
  replaces: Schema.optionalKey(MessageId),
  /** The beginning of the text of the user's message, on one line: what a list shows. */
  preview: Schema.optionalKey(Schema.String),
  /** The tool call that started the task. */
  parent: Schema.optionalKey(TaskParent)
}

/** Fields that only the owner of a task needs: they are removed together with the log. */
const owners = {
  /** What the client attached to the user's message; the conversation keeps a copy. */
  userMetadata: Schema.optionalKey(Metadata),
  /** Annotates every log line of the task, also after a recovery. */
  logContext: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  /** The trace that started the task, as W3C Trace Context writes it: the spans of every attempt belong to this trace. */
  traceparent: Schema.optionalKey(Schema.String),
  /** The time at which the task ends at the latest, by the store's clock: milliseconds since 1970-01-01T00:00Z. */
  deadline: Schema.optionalKey(Schema.Finite),
  /** The tokens that the task may use, besides the budget of its agent. */
  maxTotalTokens: Schema.optionalKey(Schema.Natural)
}

/**
 * @since 0.1.0
 * @category models
 */
export const TaskSpec = Schema.Struct({ ...shown, ...owners })

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskSpec extends Schema.Schema.Type<typeof TaskSpec> {}

type Options = { readonly [Field in keyof TaskSpec]?: TaskSpec[Field] | undefined }

const fields = Struct.keys(TaskSpec.fields)

/**
 * The spec of a task that is started with these options. Other options are left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStart = (options: Options): TaskSpec =>
  Object.fromEntries(fields.flatMap((field) => options[field] === undefined ? [] : [[field, options[field]]]))

/**
 * The fields of a spec that a `Task` shows.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toShown = ({ metadata, parent, preview, replaces }: TaskSpec): Pick<TaskSpec, keyof typeof shown> => ({
  ...(metadata === undefined ? undefined : { metadata }),
  ...(replaces === undefined ? undefined : { replaces }),
  ...(preview === undefined ? undefined : { preview }),
  ...(parent === undefined ? undefined : { parent })
})

/**
 * A spec without the fields that only an owner needs: what `prune` keeps.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withoutOwnerFields: (self: TaskSpec) => Pick<TaskSpec, keyof typeof shown> = Struct.omit(
  Struct.keys(owners)
)

const Text = Schema.fromJsonString(TaskSpec)

/**
 * The text that a store keeps.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode: (self: TaskSpec) => string = Schema.encodeSync(Text)

/**
 * Reads the text that a store kept. None when the text is not a spec. Fields that a newer version wrote are ignored.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode: (text: string) => Option.Option<TaskSpec> = Schema.decodeOption(Text)

/**
 * The fields of a stored spec that a `Task` shows; none of them when the text is not a spec, so that the task can be seen,
 * cancelled and deleted.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeShown = (text: string): ReturnType<typeof toShown> =>
  toShown(Option.getOrElse(decode(text), (): TaskSpec => ({})))

/**
 * The trace of a stored spec. Undefined when it has none, and when the text is not a spec.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeTraceparent = (text: string): string | undefined =>
  Option.getOrUndefined(Option.flatMap(decode(text), ({ traceparent }) => Option.fromUndefinedOr(traceparent)))

const Fields = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json))
const decodeFields = Schema.decodeOption(Fields)

/**
 * The text of a spec without the fields that only an owner needs. Fields that a newer version wrote stay. A text that
 * is not a spec becomes the empty one, so that it cannot stop retention.
 *
 * @since 0.1.0
 * @category encoding
 */
export const pruneText = (text: string): string => {
  const fields = decodeFields(text)
  return fields._tag === "None" ? "{}" : JSON.stringify(Struct.omit(fields.value, Struct.keys(owners)))
}
