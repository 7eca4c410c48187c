/**
 * What the record of a task shows of its log, so that a list needs no log: the tool calls that wait for a person, the title
 * that the task gave to its conversation, the tokens that it has used, its output, and how many child tasks it has.
 *
 * The owner of a task makes the summary from its events, and stores it in the commit of the events that change it.
 *
 * @since 0.1.0
 */
import { DateTime, Option, Schema, Struct } from "effect"
import { isTerminal, type Task, type TaskStatus, WaitingCall } from "./Task.ts"
import type { StoredEvent } from "./TaskEvent.ts"
import * as Usage from "./Usage.ts"

/**
 * @since 0.1.0
 * @category models
 */
export const TaskSummary = Schema.Struct({
  /** The tool calls that wait for a person, oldest first, at most `maxWaiting`. */
  waiting: Schema.optionalKey(Schema.Array(WaitingCall)),
  title: Schema.optionalKey(Schema.String),
  /** The sum over the messages so far, and over the child tasks that have ended. */
  usage: Schema.optionalKey(Usage.Usage),
  /** The output, at most `maxOutputLength` characters of JSON. */
  output: Schema.optionalKey(Schema.Json),
  /** How many child tasks the log names. Absent if there are none. */
  children: Schema.optionalKey(Schema.Natural)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskSummary extends Schema.Schema.Type<typeof TaskSummary> {}

/**
 * The largest number of waiting tool calls in a summary. Further calls are not shown.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxWaiting = 100

/**
 * How large the output of a task may be, in characters of JSON: 64 Ki, nested at most 64 levels deep.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxOutputLength = 64 * 1024

/**
 * The summary of a log without events.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: TaskSummary = {}

const withWaiting = (self: TaskSummary, waiting: ReadonlyArray<WaitingCall>): TaskSummary =>
  waiting.length === 0 ? Struct.omit(self, ["waiting"]) : { ...self, waiting }

const withUsage = (self: TaskSummary, usage: Usage.Usage): TaskSummary =>
  Usage.isZero(usage) ? self : { ...self, usage: self.usage === undefined ? usage : Usage.add(self.usage, usage) }

/**
 * The summary after one more event; the same object if the event changes nothing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const advance = (self: TaskSummary, { at, event, seq }: StoredEvent): TaskSummary => {
  const { waiting = [] } = self
  switch (event.type) {
    case "title":
      return event.title === self.title ? self : { ...self, title: event.title }
    case "output":
      return { ...self, output: event.output }
    case "message":
      return withUsage(self, event.usage)
    case "tool_approval": {
      const { tool, toolCallId } = event
      const known = waiting.some((call) => call.toolCallId === toolCallId)
      if (event.decision !== undefined) {
        return known ? withWaiting(self, waiting.filter((call) => call.toolCallId !== toolCallId)) : self
      }
      if (known || waiting.length >= maxWaiting) return self
      return withWaiting(self, [...waiting, { toolCallId, tool, seq, askedAt: DateTime.makeUnsafe(at) }])
    }
    case "tool_call":
      return event.childTaskId === undefined ? self : { ...self, children: (self.children ?? 0) + 1 }
    case "tool_result": {
      const others = waiting.filter((call) => call.toolCallId !== event.toolCallId)
      const after = others.length === waiting.length ? self : withWaiting(self, others)
      return event.usage === undefined ? after : withUsage(after, event.usage)
    }
    default:
      return self
  }
}

/**
 * Whether tool calls wait for a person.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isWaiting = (self: TaskSummary): boolean => self.waiting !== undefined

/**
 * The fields of a `Task` with this status. A task that has ended waits for nobody. Only a completed task has an output.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toShown = (
  self: TaskSummary,
  status: TaskStatus
): Pick<Task, "waiting" | "waitingSince" | "title" | "usage" | "output" | "children"> => {
  if (status === "completed") return withWaiting(self, [])
  const shown = self.output === undefined ? self : Struct.omit(self, ["output"])
  if (isTerminal(status)) return withWaiting(shown, [])
  const oldest = self.waiting?.[0]
  return oldest === undefined ? shown : { ...shown, waitingSince: oldest.askedAt }
}

const Text = Schema.fromJsonString(Schema.toCodecJson(TaskSummary))

/**
 * The text that a store keeps.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode: (self: TaskSummary) => string = Schema.encodeSync(Text)

const decodeText = Schema.decodeOption(Text)

/**
 * Reads the text that a store kept. A text that cannot be read, and no text, is the empty summary: the task can be seen,
 * cancelled and deleted.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string | null): TaskSummary =>
  text === null ? empty : Option.getOrElse(decodeText(text), () => empty)
