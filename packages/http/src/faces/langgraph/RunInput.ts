/**
 * What the input and the commands of a run mean here.
 *
 * @since 0.1.0
 */
import type { Decision } from "@perennial/domain/Decision"
import type { FilePart, TextPart } from "@perennial/domain/Message"
import { Schema } from "effect"

type Part = TextPart | FilePart

const Block = Schema.Struct({
  type: Schema.String,
  text: Schema.optionalKey(Schema.String),
  image_url: Schema.optionalKey(Schema.Union([Schema.String, Schema.Struct({ url: Schema.String })])),
  mime_type: Schema.optionalKey(Schema.String),
  mimeType: Schema.optionalKey(Schema.String),
  data: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String)
})

const Content = Schema.Union([Schema.String, Schema.Array(Block)])

const Plain = Schema.Struct({
  id: Schema.optionalKey(Schema.NullOr(Schema.String)),
  type: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
  content: Content
})

/** An instance of a class of LangChain as JSON. */
const Serialized = Schema.Struct({
  lc: Schema.Finite,
  id: Schema.NonEmptyArray(Schema.String),
  kwargs: Schema.Struct({ id: Schema.optionalKey(Schema.NullOr(Schema.String)), content: Content })
})

const Message = Schema.Union([Serialized, Plain, Schema.Tuple([Schema.String, Schema.String]), Schema.String])
const Input = Schema.Struct({ messages: Schema.Union([Schema.Array(Message), Message]) })
const decodeInput = Schema.decodeUnknownOption(Input)

interface Said {
  readonly role: string
  readonly id: string | undefined
  readonly content: typeof Content.Type
}

const toSaid = (message: typeof Message.Type): Said => {
  if (typeof message === "string") return { role: "user", id: undefined, content: message }
  if (!("content" in message) && !("kwargs" in message)) {
    const [role, content] = message
    return { role, id: undefined, content }
  }
  if ("content" in message) {
    const { content, id, role, type } = message
    return { role: type ?? role ?? "", id: id ?? undefined, content }
  }
  const { id, kwargs } = message
  const isHuman = id[id.length - 1]?.startsWith("HumanMessage") === true
  return { role: isHuman ? "user" : "", id: kwargs.id ?? undefined, content: kwargs.content }
}

const dataUrl = /^data:([^;,]+)[^,]*;base64,(.*)$/s

const toFile = (url: string): ReadonlyArray<Part> => {
  const [, mediaType, data] = dataUrl.exec(url) ?? []
  return mediaType === undefined || data === undefined ? [] : [{ type: "file", mediaType, data }]
}

const toPart = (block: typeof Block.Type): ReadonlyArray<Part> => {
  const { data, image_url: image, mimeType, mime_type: mediaType = mimeType, text, url } = block
  if (text !== undefined) return text === "" ? [] : [{ type: "text", text }]
  if (image !== undefined) return toFile(typeof image === "string" ? image : image.url)
  if (mediaType !== undefined && data !== undefined) return [{ type: "file", mediaType, data }]
  if (mediaType !== undefined && url !== undefined) return [{ type: "file", mediaType, url }]
  return []
}

/**
 * A message of the user.
 *
 * @since 0.1.0
 * @category models
 */
export interface Question {
  /** As the client has named the message. */
  readonly id: string | undefined
  readonly content: readonly [Part, ...ReadonlyArray<Part>]
}

/**
 * The last message of the user; undefined if there is none, or if it has nothing that a message can have.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toQuestion = (input: Schema.Json | undefined): Question | undefined => {
  const decoded = decodeInput(input)
  if (decoded._tag === "None") return undefined
  const { messages } = decoded.value
  const all = isList(messages) ? messages : [messages]
  const last = all.map(toSaid).findLast(({ role }) => role === "human" || role === "user")
  if (last === undefined) return undefined
  const { content, id } = last
  const [first, ...rest] = typeof content === "string"
    ? toPart({ type: "text", text: content })
    : content.flatMap(toPart)
  return first === undefined ? undefined : { id, content: [first, ...rest] }
}

/** A pair of a role and a text is one message. */
const isList = (messages: (typeof Input.Type)["messages"]): messages is ReadonlyArray<typeof Message.Type> =>
  Array.isArray(messages) && !(messages.length === 2 && messages[0] === "user" && typeof messages[1] === "string")

const Edited = Schema.Struct({ args: Schema.optionalKey(Schema.Json) })

const Typed = Schema.Struct({
  type: Schema.Literals(["approve", "accept", "edit", "reject", "ignore"]),
  message: Schema.optionalKey(Schema.NullOr(Schema.String)),
  edited_action: Schema.optionalKey(Edited),
  editedAction: Schema.optionalKey(Edited),
  args: Schema.optionalKey(Schema.NullOr(Schema.Json))
})

const Own = Schema.Struct({
  approved: Schema.Boolean,
  reason: Schema.optionalKey(Schema.String),
  args: Schema.optionalKey(Schema.Json)
})

const Answer = Schema.Union([Schema.Boolean, Typed, Own])
const Answers = Schema.Union([Answer, Schema.Array(Answer), Schema.Struct({ decisions: Schema.Array(Answer) })])
const decodeAnswers = Schema.decodeUnknownOption(Answers)

const toDecision = (answer: typeof Answer.Type): Decision => {
  if (typeof answer === "boolean") return { approved: answer }
  if ("approved" in answer) return answer
  const { args: plain, edited_action: snake, editedAction: edited = snake, message, type } = answer
  if (type === "reject" || type === "ignore") {
    return { approved: false, ...(typeof message === "string" ? { reason: message } : {}) }
  }
  const args = type === "edit" ? edited?.args ?? (isEdited(plain) ? plain.args : undefined) : undefined
  return { approved: true, ...(args === undefined ? {} : { args }) }
}

const isEdited = Schema.is(Schema.Struct({ args: Schema.Json }))
const isFields = Schema.is(Schema.Record(Schema.String, Schema.Json))

/**
 * The decisions about these tool calls, in their order. One decision that is not in a list is for all calls. The answers may be
 * by the id of the interrupt. Undefined if the text is something else, or has another number of decisions.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decisionsOf = (
  resume: Schema.Json,
  toolCallIds: ReadonlyArray<string>,
  interruptId: string
): ReadonlyArray<{ readonly toolCallId: string; readonly decision: Decision }> | undefined => {
  const answer = isFields(resume) && Object.hasOwn(resume, interruptId) ? resume[interruptId] : resume
  const decoded = decodeAnswers(answer)
  if (decoded._tag === "None") return undefined
  const given = decoded.value
  const all = typeof given === "object" && "decisions" in given ? given.decisions : given
  if (!Array.isArray(all)) {
    return toolCallIds.map((toolCallId) => ({ toolCallId, decision: toDecision(all as typeof Answer.Type) }))
  }
  if (all.length !== toolCallIds.length) return undefined
  return toolCallIds.flatMap((toolCallId, i) => {
    const one: typeof Answer.Type | undefined = all[i]
    return one === undefined ? [] : [{ toolCallId, decision: toDecision(one) }]
  })
}
