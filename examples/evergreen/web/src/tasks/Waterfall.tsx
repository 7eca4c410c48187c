/** The steps of a task over time: solid where something works, hollow where something waits. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { useMemo } from "react"
import { duration, roundDuration, useNow } from "../time.tsx"
import { type Step, stepsOf } from "./waterfall.ts"

const percent = (part: number, whole: number): string =>
  `${Math.max(0, Math.min(100, (part / whole) * 100)).toFixed(2)}%`

/** More marks would not fit on a phone. */
const mostMarks = 5

/** A round time between the marks of the axis. */
const spacingOf = (total: number): number => {
  const seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400]
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat(seconds.map((second) => second * 1_000))
  return steps.find((step) => total / step <= mostMarks) ?? total
}

function Axis({ spacing, total }: { readonly spacing: number; readonly total: number }) {
  const marks = Array.from({ length: Math.floor(total / spacing) + 1 }, (_, i) => i * spacing)
  return (
    <span className="axis" aria-hidden>
      {marks.filter((mark) => mark < 0.95 * total).map((mark) => (
        <i key={mark} style={{ left: percent(mark, total) }}>{mark === 0 ? "0" : roundDuration(mark)}</i>
      ))}
    </span>
  )
}

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
  const spacing = spacingOf(total)
  return (
    <table className="waterfall">
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col">
            <Axis spacing={spacing} total={total} />
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
            <td className="track" style={{ backgroundSize: `${percent(spacing, total)} 100%` }}>
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
