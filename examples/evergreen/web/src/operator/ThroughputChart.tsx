/** How many tasks began and ended in each minute of the last hour: a picture, and a table with the same numbers. */
import type { Minute, Throughput } from "./records.ts"
import "../css/operator.css"

const height = 40
const ends = ["completed", "cancelled", "error"] as const
const words = { started: "started", completed: "completed", cancelled: "cancelled", error: "failed" } as const
type Kind = keyof typeof words
const kinds = Object.keys(words) as ReadonlyArray<Kind>

const time = (at: string): string => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })

const endsOf = (minute: Minute): number => ends.reduce((sum, kind) => sum + minute[kind], 0)

/** The ends of a minute, one above the other. */
function Column({ minute, most, x }: { readonly minute: Minute; readonly most: number; readonly x: number }) {
  let top = height
  return ends.map((kind) => {
    const size = minute[kind] / most * height
    top -= size
    return size === 0 ? null : <rect key={kind} data-kind={kind} x={x + 0.12} y={top} width={0.76} height={size} />
  })
}

/** A mark for each minute: how many tasks began. */
const marks = (minutes: ReadonlyArray<Minute>, most: number, first: number): string =>
  minutes.map(({ started }, i) =>
    started === 0 ? "" : `M${first + i} ${height - started / most * height}H${first + i + 1}`
  ).join("")

export function ThroughputChart({ throughput: { minutes } }: { readonly throughput: Throughput }) {
  const most = Math.max(1, ...minutes.map((minute) => Math.max(minute.started, endsOf(minute))))
  const total = (kind: Kind): number => minutes.reduce((sum, minute) => sum + minute[kind], 0)
  const first = 60 - minutes.length
  const busy = minutes.filter((minute) => minute.started + endsOf(minute) > 0)
  return (
    <section className="throughput" aria-label="Throughput of the last hour">
      <div className="plot" aria-hidden>
        <svg viewBox={`0 -1 60 ${height + 1}`} preserveAspectRatio="none">
          {minutes.map((minute, i) => <Column key={minute.at} minute={minute} most={most} x={first + i} />)}
          <path d={marks(minutes, most, first)} />
        </svg>
        <span className="top">{most} / min</span>
        <span>60 min ago</span>
        <span className="end">now</span>
      </div>
      <div className="sums">
        <h2>The last hour</h2>
        <ul>
          {kinds.map((kind) => (
            <li key={kind} data-kind={kind}>
              <b>{total(kind)}</b> {words[kind]}
            </li>
          ))}
        </ul>
        <details>
          <summary>As a table</summary>
          {busy.length === 0 ? <p className="soft">No task began or ended.</p> : (
            <table>
              <thead>
                <tr>
                  <th scope="col">Minute</th>
                  {kinds.map((kind) => <th key={kind} scope="col">{words[kind]}</th>)}
                </tr>
              </thead>
              <tbody>
                {busy.map((minute) => (
                  <tr key={minute.at}>
                    <th scope="row">{time(minute.at)}</th>
                    {kinds.map((kind) => <td key={kind}>{minute[kind]}</td>)}
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </details>
      </div>
    </section>
  )
}
