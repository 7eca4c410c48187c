/** The filters of the tasks. They are in the address, under the names of the API, so that a link shows the same list. */
import { useEffect, useState } from "react"
import * as api from "../api.ts"
import { hostOf } from "../operator/host.ts"
import * as lists from "../state/lists.ts"

const statuses: ReadonlyArray<readonly [api.Status, string]> = [
  ["running", "Running"],
  ["queued", "Queued"],
  ["completed", "Completed"],
  ["error", "Failed"],
  ["cancelled", "Cancelled"]
]

/** The largest count that the server makes. */
const most = 1_000

const shown = (count: number | undefined): string =>
  count === undefined || count === 0 ? "" : count >= most ? `${most}+` : String(count)

/** Counts of the person's tasks, read again when the feed tells a change. */
export const useCounts = (): api.Counts | undefined => {
  const tasks = lists.useLists((state) => state.tasks)
  const [counts, setCounts] = useState<api.Counts>()
  useEffect(() => {
    const timer = setTimeout(() => api.taskCounts().then(setCounts, () => {}), 300)
    return () => clearTimeout(timer)
  }, [tasks])
  return counts
}

/** The filters that are shown only while they are in force. */
const chosen = ["userId", "runner", "agentId"] as const

/** Only the person's own tasks can be searched for a text. */
export function Filters({ counts, fresh = 0, onChange, onFresh, search }: {
  readonly search: string
  readonly counts: api.Counts | undefined
  readonly fresh?: number
  readonly onFresh?: () => void
  readonly onChange: (search: string) => void
}) {
  const query = new URLSearchParams(search)
  const change = (edit: (query: URLSearchParams) => void) => {
    const edited = new URLSearchParams(search)
    edit(edited)
    onChange(edited.toString())
  }
  const toggle = (name: string, value: string) =>
    change((edited) => edited.has(name, value) ? edited.delete(name, value) : edited.append(name, value))
  const who = query.get("who")
  const all = who === null ? "" : `who=${who}`
  return (
    <div className="filters" role="group" aria-label="Filters">
      <button type="button" aria-pressed={search === all} onClick={() => onChange(all)}>All</button>
      <button type="button" aria-pressed={query.has("waiting")} onClick={() => toggle("waiting", "true")}>
        {who === null ? "Needs you" : "Needs a person"} <span>{shown(counts?.waiting)}</span>
      </button>
      {statuses.map(([status, label]) => (
        <button
          key={status}
          type="button"
          aria-pressed={query.has("status", status)}
          onClick={() => toggle("status", status)}
        >
          {label} <span>{shown(counts?.[status])}</span>
        </button>
      ))}
      {chosen.map((name) => {
        const value = query.get(name)
        return value === null
          ? null
          : (
            <button key={name} type="button" aria-pressed onClick={() => toggle(name, value)}>
              {name === "runner" ? hostOf(value) : value} <span aria-hidden>×</span>
            </button>
          )
      })}
      {who === null
        ? (
          <input
            type="search"
            className="search-box"
            aria-label="Search tasks"
            placeholder="Search"
            defaultValue={query.get("q") ?? ""}
            maxLength={200}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return
              const text = event.currentTarget.value.trim()
              change((edited) => text === "" ? edited.delete("q") : edited.set("q", text))
            }}
          />
        )
        : null}
      <button type="button" aria-pressed={query.has("order", "oldest")} onClick={() => toggle("order", "oldest")}>
        Oldest first
      </button>
      {fresh === 0 ? null : <button type="button" className="fresh" onClick={onFresh}>{fresh} new ↑</button>}
    </div>
  )
}
