/** The tasks of the person, the newest first. The feed keeps the rows as they are now. */
import { useEffect, useState } from "react"
import { Link, useLocation } from "wouter"
import * as api from "../api.ts"
import { attempt } from "../attempt.ts"
import { onKeys } from "../keys.ts"
import * as lists from "../state/lists.ts"
import { Ago } from "../time.tsx"
import { Filters, useCounts } from "./Filters.tsx"
import { StatusChip } from "./StatusChip.tsx"
import { Took } from "./Took.tsx"
import { useTasks } from "./useTasks.ts"

const tokens = ({ usage }: api.ListedTask): string => {
  const count = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0)
  if (count === 0) return ""
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(1)}k`
}

function Row({ selected, task, title }: {
  readonly task: api.ListedTask
  readonly title: string
  readonly selected: boolean
}) {
  return (
    <tr
      data-selected={selected || undefined}
      ref={(row) => {
        if (selected) row?.scrollIntoView({ block: "nearest" })
      }}
    >
      <td>
        <StatusChip task={task} />
      </td>
      <th scope="row">
        <Link href={`/t/${encodeURIComponent(task.id)}`}>{title}</Link>
        {task.error === undefined ? null : <span className="danger">{task.error.detail}</span>}
      </th>
      <td>{task.agentId}</td>
      <td className="number">
        <Took task={task} />
      </td>
      <td className="number">{task.attempt > 1 ? task.attempt : ""}</td>
      <td className="number">{tokens(task)}</td>
      <td className="number">
        <Ago at={task.createdAt} />
      </td>
    </tr>
  )
}

export function Mine({ search, onChange }: {
  readonly search: string
  readonly onChange: (search: string) => void
}) {
  const [, navigate] = useLocation()
  const { again, failed, fresh, items, more, next } = useTasks(search)
  const conversations = lists.useLists((state) => state.conversations)
  const counts = useCounts()
  const [at, setAt] = useState(-1)
  const selected = items?.[at]
  const count = items?.length ?? 0
  useEffect(() =>
    onKeys({
      j: () => setAt((now) => Math.min(now + 1, count - 1)),
      k: () => setAt((now) => Math.max(now - 1, 0)),
      c: () => selected !== undefined && lists.isActive(selected) && attempt(api.cancel(selected.id)),
      Enter: () => selected !== undefined && navigate(`/t/${encodeURIComponent(selected.id)}`)
    }), [count, selected, navigate])
  const titles = new Map(conversations?.map(({ id, title }) => [id, title]))
  return (
    <>
      <Filters
        search={search}
        counts={counts}
        fresh={fresh}
        onFresh={again}
        onChange={(wanted) => {
          setAt(-1)
          onChange(wanted)
        }}
      />
      <div className="table" tabIndex={0} role="region" aria-label="Tasks">
        {items === undefined
          ? failed
            ? (
              <p className="none">
                The tasks cannot be read now.{" "}
                <button type="button" className="quiet small" onClick={again}>Try again</button>
              </p>
            )
            : (
              <div className="skeleton" role="status" aria-label="Loading">
                <i />
                <i />
                <i />
              </div>
            )
          : items.length === 0
          ? (
            <div className="empty">
              <h2>{search === "" ? "No tasks yet." : "No task is like that."}</h2>
              <p>
                Each message starts a task. <Link href="/">Write one.</Link>
              </p>
            </div>
          )
          : (
            <table>
              <thead>
                <tr>
                  <th scope="col">Status</th>
                  <th scope="col">Message</th>
                  <th scope="col">Agent</th>
                  <th scope="col" className="number">Time</th>
                  <th scope="col" className="number">Attempts</th>
                  <th scope="col" className="number">Tokens</th>
                  <th scope="col" className="number">Started</th>
                </tr>
              </thead>
              <tbody>
                {items.map((task, i) => (
                  <Row
                    key={task.id}
                    task={task}
                    selected={i === at}
                    title={task.preview ?? titles.get(task.conversationId) ?? "A message without text"}
                  />
                ))}
              </tbody>
            </table>
          )}
        {next === undefined ?
          null :
          <button type="button" className="ghost more" onClick={() => void more()}>Older tasks</button>}
      </div>
    </>
  )
}
