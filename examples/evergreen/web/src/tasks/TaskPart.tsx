/** A part of the page of a task: what it did when, its events, what went in and what came out. */
import * as TaskView from "@perennial/domain/TaskView"
import type { ReactNode } from "react"
import type * as api from "../api.ts"
import { pretty } from "../chat/json.ts"
import { FileView } from "../chat/RowView.tsx"
import { isActive } from "../state/lists.ts"
import { filesOf, textOf } from "../state/rows.ts"
import { Markdown } from "../text/Markdown.tsx"
import { EventList } from "./EventList.tsx"
import type { Log } from "./useLog.ts"
import { Waterfall } from "./Waterfall.tsx"

export const parts = ["Timeline", "Events", "Input", "Output", "Metadata"] as const
export type Part = typeof parts[number]

const textsOf = (messages: ReadonlyArray<api.Message>, role: string): string =>
  messages.filter(({ message }) => message.role === role).map(({ message }) => textOf(message.content)).join("\n\n")

/** What the task has said so far: by its log while there is one, else by its messages. */
const saidOf = ({ events, state }: Log, messages: ReadonlyArray<api.Message>): string => {
  if (state !== "ready") return textsOf(messages, "assistant")
  const view = events.reduce(TaskView.apply, TaskView.empty)
  const texts = [...view.messages.map(({ message }) => textOf(message.content)), view.text]
  return texts.filter((text) => text !== "").join("\n\n")
}

function Raw({ label, value }: { readonly label: string; readonly value: unknown }) {
  return <pre className="raw" tabIndex={0} role="group" aria-label={label}>{pretty(value)}</pre>
}

function Input({ messages, task }: { readonly task: api.Task; readonly messages: ReadonlyArray<api.Message> }) {
  const files = messages.flatMap(({ message }) => message.role === "user" ? filesOf(message.content) : [])
  return (
    <>
      {/* Before the task begins, its message is not among those of the conversation. The record has its beginning. */}
      <Markdown text={textsOf(messages, "user") || (task.preview ?? "")} />
      <div className="files">{files.map((file, i) => <FileView key={i} file={file} />)}</div>
    </>
  )
}

function Output({ log, messages, task }: {
  readonly task: api.Task
  readonly log: Log
  readonly messages: ReadonlyArray<api.Message>
}) {
  if (task.output !== undefined) return <Raw label="The output" value={task.output} />
  const said = saidOf(log, messages)
  if (said !== "") return <Markdown text={said} writing={isActive(task)} />
  return <p className="none">{isActive(task) ? "Nothing yet." : "The task has said nothing."}</p>
}

/** The parts that are made of the log. */
function OfLog({ log: { events, state }, part, task }: {
  readonly part: Part
  readonly task: api.Task
  readonly log: Log
}) {
  if (state === "loading") {
    return (
      <div className="skeleton" role="status" aria-label="Loading">
        <i />
        <i />
        <i />
      </div>
    )
  }
  if (state === "expired") return <p className="none">The log is not kept any more. Input and output are.</p>
  if (state === "failed") return <p className="none">The log cannot be read now.</p>
  return part === "Events" ? <EventList events={events} /> : <Waterfall events={events} active={isActive(task)} />
}

export function TaskPart({ log, messages, part, task }: {
  readonly part: Part
  readonly task: api.Task
  readonly log: Log
  readonly messages: ReadonlyArray<api.Message>
}): ReactNode {
  switch (part) {
    case "Input":
      return <Input task={task} messages={messages} />
    case "Output":
      return <Output task={task} log={log} messages={messages} />
    case "Metadata":
      return <Raw label="The record of the task" value={task} />
    default:
      return <OfLog part={part} task={task} log={log} />
  }
}
