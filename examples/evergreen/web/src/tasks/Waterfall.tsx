/** The steps of a task over time: solid where something works, hollow where something waits. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { useMemo } from "react"
import { duration, useNow } from "../time.tsx"
import { type Step, stepsOf } from "./waterfall.ts"

const percent = (part: number, whole: number): string =>
  `${Math.max(0, Math.min(100, (part / whole) * 100)).toFixed(2)}%`

function Bar({ begin, now, step, total }: {
  readonly step: Step
  readonly begin: number
  readonly total: number
  readonly now: number
}) {
  const to = step.to ?? now
  return (
    <span
      className="bar"
      data-kind={step.kind}
      data-open={step.to === undefined || undefined}
      style={{ left: percent(step.from - begin, total), width: percent(to - step.from, total) }}
    >
      {step.first === undefined ?
        null :
        <i className="before-first" style={{ width: percent(step.first - step.from, Math.max(1, to - step.from)) }} />}
    </span>
  )
}

export function Waterfall({ active, events }: {
  readonly events: ReadonlyArray<StoredEvent>
  readonly active: boolean
}) {
  const now = useNow(active ? 500 : 60_000)
  const steps = useMemo(() => stepsOf(events), [events])
  const begin = events[0]?.at ?? 0
  const last = events.at(-1)?.at ?? begin
  const end = active ? Math.max(now, last) : last
  const total = Math.max(1, end - begin)
  return (
    <table className="waterfall">
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col">
            <span className="axis" aria-hidden>
              {[0, 0.25, 0.5, 0.75].map((part) => <i key={part}>{duration(total * part)}</i>)}
            </span>
            <span className="hidden">Timeline</span>
          </th>
          <th scope="col" className="number">Time</th>
        </tr>
      </thead>
      <tbody>
        {steps.map((step) => (
          <tr key={step.key}>
            <th scope="row">
              {step.label}
              {step.detail === "" ? null : <span>{step.detail}</span>}
            </th>
            <td className="track">
              <Bar step={step} begin={begin} total={total} now={end} />
            </td>
            <td className="number">
              {duration((step.to ?? end) - step.from)}
              {step.first === undefined ? null : <span>first token {duration(step.first - step.from)}</span>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
