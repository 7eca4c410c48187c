/**
 * The events of a task as text: the answer for standard output, everything else as remarks.
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { OfType, StoredEvent } from "@perennial/domain/TaskEvent"
import { brief, printable } from "./output.ts"

/** A piece of text, and where it is printed. */
export interface Piece {
  readonly to: "write" | "note"
  readonly text: string
}

export interface Screen {
  /** Whether the answer on the screen does not end with an end of line. */
  readonly midLine: boolean
  /** Whether text of the message that is being written was printed. */
  readonly hasText: boolean
}

export const empty: Screen = { midLine: false, hasText: false }

const note = (text: string): Piece => ({ to: "note", text })
const json = (value: unknown) => brief(JSON.stringify(value), 200)

/** A word as a POSIX shell reads it. */
export const quote = (word: string): string => /^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

const losses: Readonly<Record<string, string>> = {
  crash: "after a crash",
  handover: "after a hand-over",
  storeFailure: "after a failure of the store"
}

/** How the task was taken up again: a reason that this version does not know is left out. */
const resumed = ({ attempt, gapMillis, reason = "" }: OfType<"resumed">): string => {
  const why = Object.hasOwn(losses, reason) ? ` ${losses[reason]}` : ""
  const gap = gapMillis === undefined ? "" : ` and ${gapMillis / 1_000} s without an owner`
  return `Another process continues the task${why}${gap}, attempt ${attempt}. The unfinished message above is void.`
}

/** A request to a model whose name is known. */
const modelRequest = ({ model, step, tryNumber }: OfType<"model_request">): ReadonlyArray<Piece> =>
  model === undefined
    ? []
    : [note(`Model ${brief(model, 80)}, step ${step}${tryNumber > 1 ? `, try ${tryNumber}` : ""}`)]

/** `command` makes a line that a person can run, from a command and its arguments. */
const remarks = (id: TaskId, { event }: StoredEvent, command: (...args: ReadonlyArray<string>) => string) => {
  switch (event.type) {
    case "ack":
      return [note(`Task ${id} of conversation ${event.conversationId}`)]
    case "tool_call":
      return [note(`Tool ${brief(event.tool, 80)} ${json(event.args)}`)]
    case "tool_result":
      return [note(`Tool ${brief(event.tool, 80)}: ${event.status}`)]
    case "tool_approval":
      return event.decision === undefined
        ? [
          note(`The tool ${brief(event.tool, 80)} waits for your decision: ${json(event.args)}`),
          note(`  ${command("decide", id, event.toolCallId, "--approve")}   (or --deny)`)
        ]
        : [note(`The tool ${brief(event.tool, 80)} was ${event.decision.approved ? "approved" : "denied"}.`)]
    case "retry":
      return [
        note(`The model is asked again in ${event.delayMillis / 1_000} s: ${brief(event.reason, 200)}`),
        note("The unfinished message above is void.")
      ]
    case "resumed":
      return [note(resumed(event))]
    case "model_request":
      return modelRequest(event)
    case "output":
      return [note(`Output: ${json(event.output)}`)]
    case "title":
      return [note(`Title: ${brief(event.title, 200)}`)]
    default:
      return []
  }
}

/** What is printed for an event. */
export const render = (
  screen: Screen,
  id: TaskId,
  stored: StoredEvent,
  command: (...args: ReadonlyArray<string>) => string
): readonly [Screen, ReadonlyArray<Piece>] => {
  const { event } = stored
  const endLine: ReadonlyArray<Piece> = screen.midLine ? [{ to: "write", text: "\n" }] : []
  if (event.type === "text") {
    const text = printable(event.content)
    return text === ""
      ? [screen, []]
      : [{ midLine: !text.endsWith("\n"), hasText: true }, [{ to: "write", text }]]
  }
  if (event.type === "message") {
    if (screen.hasText) {
      return [
        { midLine: event.continued === true && screen.midLine, hasText: event.continued === true },
        event.continued === true ? [] : endLine
      ]
    }
    const text = event.message.content.map((part) => part.type === "text" ? printable(part.text) : "").join("")
    return [empty, text === "" ? [] : [{ to: "write", text: `${text}\n` }]]
  }
  const said = remarks(id, stored, command)
  if (event.type === "done" || event.type === "error" || event.type === "cancelled") return [empty, endLine]
  if (said.length === 0) return [screen, []]
  const isVoid = event.type === "retry" || event.type === "resumed"
  return [{ midLine: false, hasText: isVoid ? false : screen.hasText }, [...endLine, ...said]]
}
