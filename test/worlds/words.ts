/** The calls of a trace in words: short names for what is long. */
import { Cause, Exit, Option } from "effect"

/** Every error of a port. */
export interface Tagged {
  readonly _tag: string
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** An event as `<seq>:<type>`, a claim as `<task>#<token>`, a task as its id. */
const shorten = (value: unknown): unknown => {
  if (!isRecord(value)) return value
  if (Option.isOption(value)) return Option.isSome(value) ? value.value : "none"
  const { event, seq, taskId, token } = value
  if (typeof seq === "number" && isRecord(event)) return `${seq}:${String(event["type"])}`
  if (typeof taskId === "string" && typeof token === "number") {
    const attempt = value["attempt"]
    return `${taskId}#${token}${typeof attempt === "number" ? ` attempt ${attempt}` : ""}`
  }
  return typeof value["id"] === "string" && "conversationId" in value
    ? `${value["id"]} of ${String(value["conversationId"])}`
    : value
}

export const show = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => shorten(inner))?.replaceAll("\"", "") ?? ""

/** A result, or the tag of the error. */
export const outcome = (exit: Exit.Exit<unknown, Tagged>): string =>
  Exit.isSuccess(exit) ? (exit.value === undefined ? "ok" : show(exit.value).slice(0, 120)) : tagOf(exit.cause)

/** The tag of an error, or `died`. */
export const tagOf = (cause: Cause.Cause<Tagged>): string =>
  Option.match(Cause.findErrorOption(cause), { onNone: () => "died", onSome: ({ _tag }) => _tag })
