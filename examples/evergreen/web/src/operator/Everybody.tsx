/** The tasks of everybody, for operators: records, which have nothing of what a task is about. The filters are in the address. */
import { Square } from "lucide-react"
import { useEffect, useState } from "react"
import { Link } from "wouter"
import { attempt } from "../attempt.ts"
import { onKeys } from "../keys.ts"
import { isActive } from "../state/lists.ts"
import { Filters } from "../tasks/Filters.tsx"
import { Took } from "../tasks/Took.tsx"
import { Ago } from "../time.tsx"
import { hostOf } from "./host.ts"
import { useMe } from "./me.ts"
import type * as records from "./records.ts"
import { useRecordCounts, useRecords } from "./useRecords.ts"
import "../css/operator.css"

const stateOf = ({ status, waitingSince }: records.Record): string =>
  waitingSince !== undefined ? "needs a person" : status === "error" ? "failed" : status

const tokens = ({ usage }: records.Record): string => {
  const count = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0)
  return count === 0 ? "" : count < 1_000 ? String(count) : `${(count / 1_000).toFixed(1)}k`
}

/** Adds a filter to the address. */
const withFilter = (search: string, name: string, value: string): string => {
  const query = new URLSearchParams(search)
  query.set(name, value)
  return `/t?${query}`
}

function Row({ mine, record, search, selected, onCancel }: {
  readonly record: records.Record
  readonly selected: boolean
  readonly mine: boolean
  readonly search: string
  readonly onCancel: () => void
}) {
  const { agentId, attempt: attempts, createdAt, error, id, runner, status, userId } = record
  const active = isActive({ status })
  return (
    <tr
      data-selected={selected || undefined}
      ref={(row) => {
        if (selected) row?.scrollIntoView({ block: "nearest" })
      }}
    >
      <td>
        <span className="task-state" data-state={stateOf(record)}>{stateOf(record)}</span>
      </td>
      <th scope="row" title={id}>
        <span className="record">
          <Link href={withFilter(search, "userId", userId)}>{userId}</Link>
          {mine
            ? <Link className="mono soft" href={`/t/${encodeURIComponent(id)}`}>…{id.slice(-8)}</Link>
            : <span className="mono soft">…{id.slice(-8)}</span>}
        </span>
        {error === undefined ? null : <span className="danger">{error.code}</span>}
      </th>
      <td>{agentId}</td>
      <td className="number">
        <Took task={record} />
      </td>
      <td className="number">{attempts > 1 ? attempts : ""}</td>
      <td className="number">{tokens(record)}</td>
      <td className="number">
        <Ago at={createdAt} />
      </td>
      <td title={runner}>
        {runner === undefined ? "" : <Link href={withFilter(search, "runner", runner)}>{hostOf(runner)}</Link>}
      </td>
      <td className="number">
        {active
          ? (
            <button
              type="button"
              className="ghost small"
              aria-label={`Cancel the task ${id.slice(-8)} of ${userId}`}
              onClick={onCancel}
            >
              <Square aria-hidden />
            </button>
          )
          : null}
      </td>
    </tr>
  )
}

function Records({ items, search, onCancel }: {
  readonly items: ReadonlyArray<records.Record>
  readonly search: string
  readonly onCancel: (record: records.Record) => Promise<void>
}) {
  const me = useMe()
  const [at, setAt] = useState(-1)
  const selected = items[at]
  const count = items.length
  useEffect(() =>
    onKeys({
      j: () => setAt((now) => Math.min(now + 1, count - 1)),
      k: () => setAt((now) => Math.max(now - 1, 0)),
      c: () => selected !== undefined && isActive(selected) && attempt(onCancel(selected))
    }), [count, selected, onCancel])
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">User and task</th>
          <th scope="col">Agent</th>
          <th scope="col" className="number">Time</th>
          <th scope="col" className="number">Attempts</th>
          <th scope="col" className="number">Tokens</th>
          <th scope="col" className="number">Started</th>
          <th scope="col">Runner</th>
          <th scope="col" className="number">
            <span className="hidden">Cancel</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {items.map((record, i) => (
          <Row
            key={record.id}
            record={record}
            selected={i === at}
            search={search}
            mine={record.userId === me?.userId}
            onCancel={() => attempt(onCancel(record))}
          />
        ))}
      </tbody>
    </table>
  )
}

export function Everybody({ search, onChange }: {
  readonly search: string
  readonly onChange: (search: string) => void
}) {
  const { cancel, failed, items, more } = useRecords(search)
  const counts = useRecordCounts(search)
  return (
    <>
      <Filters search={search} counts={counts} onChange={onChange} />
      <div className="table everybody" tabIndex={0} role="region" aria-label="Tasks of everybody">
        {failed ? <p className="none" role="status">The server does not answer. It is asked again.</p> : null}
        {items === undefined
          ? failed ? null : (
            <div className="skeleton" role="status" aria-label="Loading">
              <i />
              <i />
              <i />
            </div>
          )
          : items.length === 0
          ? (
            <div className="empty">
              <h2>No task is like that.</h2>
            </div>
          )
          : <Records items={items} search={search} onCancel={cancel} />}
        {more === undefined
          ? null
          : <button type="button" className="ghost more" onClick={() => attempt(more())}>More tasks</button>}
      </div>
    </>
  )
}
