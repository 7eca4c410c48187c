/** One task: what it did when, its events, what went in and what came out. */
import { MessageSquare, RotateCcw, Square } from "lucide-react"
import { useEffect, useState } from "react"
import { Link, useLocation } from "wouter"
import * as api from "../api.ts"
import { attempt } from "../attempt.ts"
import { Header } from "../Header.tsx"
import * as lists from "../state/lists.ts"
import { filesOf, textOf } from "../state/rows.ts"
import { Ago } from "../time.tsx"
import { messagesOfTask } from "./messagesOfTask.ts"
import { number, usageText } from "./numbers.ts"
import { StatusChip } from "./StatusChip.tsx"
import { type Part, parts, TaskPart } from "./TaskPart.tsx"
import { useLog } from "./useLog.ts"
import "../css/pages.css"

/** The record of the task as it is now. */
const useTask = (id: string): { readonly task: api.Task | undefined; readonly missing: boolean } => {
  const [read, setRead] = useState<api.Task>()
  const [missing, setMissing] = useState(false)
  const live = lists.useLists((state) => state.tasks?.get(id))
  useEffect(() => {
    api.task(id).then(setRead, (error) => setMissing(error instanceof api.Problem && error.status === 404))
  }, [id])
  const newer = live !== undefined && read !== undefined && live.updatedAt > read.updatedAt
  if (!newer) return { task: read, missing }
  // The feed leaves out the metadata alone. What else it does not have is over, such as a wait for a person.
  return { task: read.metadata === undefined ? live : { ...live, metadata: read.metadata }, missing }
}

/** The task's own messages. Before the task begins there are none. */
const useMessages = (task: api.Task | undefined): ReadonlyArray<api.Message> => {
  const [messages, setMessages] = useState<ReadonlyArray<api.Message>>([])
  const { conversationId, id, status } = task ?? {}
  useEffect(() => {
    if (conversationId === undefined || id === undefined || status === "queued") return
    messagesOfTask(conversationId, id).then(setMessages, () => {})
  }, [conversationId, id, status])
  return messages
}

export default function TaskPage({ id }: { readonly id: string }) {
  const [, navigate] = useLocation()
  const { missing, task } = useTask(id)
  const log = useLog(id)
  const messages = useMessages(task)
  const title = lists.useLists(({ conversations }) =>
    conversations?.find((one) => one.id === task?.conversationId)?.title
  )
  const [tab, setTab] = useState<Part>("Timeline")
  const shown = task?.preview ?? title ?? "Task"
  useEffect(() => {
    document.title = `${shown} · Evergreen`
  }, [shown])
  if (missing) {
    return (
      <main id="main" className="page">
        <Header title="Task" />
        <div className="empty">
          <h2>There is no such task.</h2>
          <p>
            It was deleted, or it is somebody else's. <Link href="/t">All tasks</Link>
          </p>
        </div>
      </main>
    )
  }
  const input = messages.find(({ message }) => message.role === "user")
  const rerun = async () => {
    if (task === undefined || input === undefined) return
    const { conversationId } = task
    const { content } = input.message
    await api.start({ text: textOf(content), files: filesOf(content), conversationId, onBusy: "enqueue" })
    navigate(`/c/${encodeURIComponent(conversationId)}`)
  }
  return (
    <main id="main" className="page task">
      <Header title={shown}>{task === undefined ? null : <StatusChip task={task} />}</Header>
      <div className="column wide">
        {task === undefined ? null : (
          <div className="task-head">
            <p className="soft">
              {task.agentId} · <Ago at={task.createdAt} /> · attempt {task.attempt} · {number(task.lastSeq)} events
              {task.usage === undefined ? "" : ` · ${usageText(task.usage)}`}
            </p>
            <span className="grow" />
            <Link className="button quiet" href={`/c/${encodeURIComponent(task.conversationId)}`}>
              <MessageSquare aria-hidden /> Open chat
            </Link>
            {lists.isActive(task)
              ? (
                <button type="button" className="quiet" onClick={() => attempt(api.cancel(task.id))}>
                  <Square aria-hidden /> Cancel
                </button>
              )
              : (
                <button type="button" className="quiet" disabled={input === undefined} onClick={() => attempt(rerun())}>
                  <RotateCcw aria-hidden /> Run again
                </button>
              )}
          </div>
        )}
        {task?.error === undefined ? null : (
          <p className="status danger">
            <b>{task.error.code}</b> {task.error.detail}
          </p>
        )}
        <div className="tabs" role="tablist" aria-label="Parts of the task">
          {parts.map((one) => (
            <button
              key={one}
              type="button"
              role="tab"
              id={`tab-${one}`}
              aria-selected={one === tab}
              aria-controls="tab-panel"
              onClick={() => setTab(one)}
            >
              {one}
              {one === "Events" ? <span className="count">{number(log.events.length)}</span> : null}
            </button>
          ))}
        </div>
        <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
          {task === undefined ? null : <TaskPart part={tab} task={task} log={log} messages={messages} />}
        </div>
      </div>
    </main>
  )
}
